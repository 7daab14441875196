/**
 * Paints a layout on a canvas: containers as nested cards with a title, leaves in the colour, pattern and letter of their
 * style. Tiles of one style are filled in one path. What moves with the pointer is `overlay.ts`, on a canvas of its own.
 */
import { count } from "../format";
import type { Item, Items } from "../tree/display_tree";
import type { Box, Layout } from "./layout";
import { isLight, SECOND_LINE, type Palette } from "../parts/palette";
import type { Pattern, TileStyle, TileStyles } from "./tile_style";
import type { TextFit } from "./text_fit";

export interface Scene {
  display: Items;
  layout: Layout;
  tiles: TileStyles;
  palette: Palette;
  /** Items that are drawn bright; null for all. */
  lit: ReadonlySet<number> | null;
}

const DIM = 0.22;

export function paint(context: CanvasRenderingContext2D, fit: TextFit, scene: Scene): void {
  const { layout } = scene;
  context.clearRect(0, 0, layout.width, layout.height);
  paintContainers(context, scene);
  const groups = new Map<number, Box[]>();
  for (const box of layout.boxes) {
    if (!box.leaf) continue;
    const lit = !scene.lit || scene.lit.has(box.id);
    const key = scene.tiles.of(box.id) * 2 + (lit ? 1 : 0);
    const group = groups.get(key);
    if (group) group.push(box);
    else groups.set(key, [box]);
  }
  for (const [key, boxes] of groups) {
    const style = scene.tiles.styles[key >> 1] as TileStyle;
    context.globalAlpha = key & 1 ? 1 : DIM;
    fillTiles(context, boxes, style);
    for (const box of boxes) label(context, fit, scene, box, style);
  }
  context.globalAlpha = 1;
  for (const box of layout.boxes) if (!box.leaf && box.header) title(context, fit, scene, box);
}

function paintContainers(context: CanvasRenderingContext2D, { layout, palette }: Scene): void {
  context.lineWidth = 1;
  context.strokeStyle = palette.border;
  for (const box of layout.boxes) {
    if (box.leaf) continue;
    context.fillStyle = box.level % 2 ? palette.raised : palette.surface;
    context.beginPath();
    const radius = box.level === 1 ? 5 : Math.min(4, (box.x1 - box.x0) / 6);
    context.roundRect(box.x0 + 0.5, box.y0 + 0.5, box.x1 - box.x0 - 1, box.y1 - box.y0 - 1, Math.max(0, radius));
    context.fill();
    context.stroke();
  }
}

function fillTiles(context: CanvasRenderingContext2D, boxes: readonly Box[], style: TileStyle): void {
  outline(context, boxes);
  context.fillStyle = style.fill;
  context.fill();
  if (style.pattern === "plain") return;
  outline(
    context,
    boxes.filter((box) => box.x1 - box.x0 >= 7 && box.y1 - box.y0 >= 7),
  );
  context.fillStyle = patternOf(context, style.pattern, isLight(style.ink));
  context.fill();
}

function outline(context: CanvasRenderingContext2D, boxes: readonly Box[]): void {
  context.beginPath();
  for (const { x0, y0, x1, y1 } of boxes) {
    const [w, h] = [x1 - x0, y1 - y0];
    if (w > 9 && h > 9) context.roundRect(x0, y0, w, h, w > 30 && h > 20 ? 3 : 2);
    else context.rect(x0, y0, w, h);
  }
}

const patterns = new Map<string, CanvasPattern>();

/** A quiet texture, so that tunings can be told apart without colour; away from the ink, so that text on it reads as well as beside it. */
function patternOf(context: CanvasRenderingContext2D, pattern: Pattern, lightInk: boolean): CanvasPattern | string {
  const key = `${pattern}${lightInk ? "d" : "l"}`;
  const known = patterns.get(key);
  if (known) return known;
  const canvas = context.canvas.ownerDocument.createElement("canvas");
  canvas.width = canvas.height = 8;
  const c = canvas.getContext("2d");
  if (!c) return "transparent";
  c.strokeStyle = c.fillStyle = lightInk ? "rgba(0,0,0,.20)" : "rgba(255,255,255,.22)";
  c.lineWidth = 1.3;
  const lines =
    pattern === "hatch"
      ? [
          [-2, 2, 2, -2],
          [-2, 10, 10, -2],
          [6, 10, 10, 6],
        ]
      : pattern === "cross"
        ? [
            [-2, 10, 10, -2],
            [-2, -2, 10, 10],
          ]
        : [];
  for (const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] of lines) {
    c.beginPath();
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
    c.stroke();
  }
  if (pattern === "dots")
    for (const [x, y] of [
      [2, 2],
      [6, 6],
    ] as const)
      c.fillRect(x - 0.8, y - 0.8, 1.7, 1.7);
  const made = context.createPattern(canvas, "repeat");
  if (made) patterns.set(key, made);
  return made ?? "transparent";
}

/** Name, count and letter of a leaf, as far as there is room; along the tile when it is narrow. */
function label(context: CanvasRenderingContext2D, fit: TextFit, scene: Scene, box: Box, style: TileStyle): void {
  const [w, h] = [box.x1 - box.x0, box.y1 - box.y0];
  const upright = w < 44 && h > w * 1.4;
  const [along, across] = upright ? [h, w] : [w, h];
  if (along < 30 || across < (upright ? 16 : 13)) return;
  const item = scene.display.item(box.id);
  context.save();
  context.translate(box.x0, upright ? box.y1 : box.y0);
  if (upright) context.rotate(-Math.PI / 2);
  context.fillStyle = style.ink;
  context.textBaseline = "middle";
  const two = across >= 30;
  const top = two ? 11 : across / 2 + 0.5;
  const letter = style.letter && along > 44 && across >= 15 ? style.letter : "";
  const name = sized(
    context,
    fit,
    item,
    along - 10 - (letter && (!two || upright) ? 13 : 0),
    item.isComponent ? [11.5, 10.5, 9.5] : [11, 10, 9.5],
    item.isComponent,
    scene.palette.font,
  );
  // Half a word that stands on its side is no help.
  if (name && !(upright && name !== item.label)) context.fillText(name, 5, top);
  const second = two ? top + 14 : top;
  context.globalAlpha *= SECOND_LINE;
  if (letter) {
    context.font = `600 10px ${scene.palette.font}`;
    context.save();
    if (upright) {
      context.translate(along - 9, w / 2);
      context.rotate(Math.PI / 2); // a letter is read upright
    }
    context.textAlign = upright ? "center" : "right";
    context.fillText(letter, upright ? 0 : along - 5, upright ? 0 : second);
    context.restore();
  }
  if (two && name) {
    context.font = `10.5px ${scene.palette.font}`;
    const amount = count(item.params);
    if (fit.width(amount) <= along - 9 - (letter ? 11 : 0)) context.fillText(amount, 5, second); // half a number is none
  }
  context.restore();
}

/** Sets the largest font in which the whole text fits, else the smallest, and gives the text as far as there is room. */
function sized(
  context: CanvasRenderingContext2D,
  fit: TextFit,
  item: Item,
  room: number,
  sizes: readonly number[],
  bold: boolean,
  family: string,
): string {
  for (const size of sizes) {
    context.font = `${bold ? "600 " : ""}${size}px ${family}`;
    if (fit.width(item.label) <= room) return item.label;
  }
  return cut(fit, item, room);
}

/** A title as far as there is room; how many blocks it stands for is the last to go. */
function cut(fit: TextFit, item: Item, room: number): string {
  const times = item.fold ? ` ×${item.fold.times}` : "";
  if (!times || fit.width(item.label) <= room) return fit.cut(item.label, room);
  const name = fit.cut(item.label.slice(0, -times.length), room - fit.width(times));
  return name ? name + times : fit.cut(item.label, room);
}

function title(context: CanvasRenderingContext2D, fit: TextFit, { display, palette, lit }: Scene, box: Box): void {
  const item = display.item(box.id);
  const first = box.level === 1;
  const room = box.x1 - box.x0 - 10;
  context.globalAlpha = lit && !lit.has(box.id) ? 0.6 : 1;
  context.textBaseline = "middle";
  context.fillStyle = first ? palette.ink : palette.muted;
  const name = sized(context, fit, item, room, first ? [12, 11, 10] : [10.5, 10, 9.5], first, palette.font);
  const y = box.y0 + box.header / 2 + 1;
  context.fillText(name, box.x0 + 6, y);
  if (first && name === item.label) {
    const used = fit.width(name);
    context.font = `11px ${palette.font}`;
    context.fillStyle = palette.muted;
    const amount = count(item.params);
    if (used + fit.width(amount) + 8 < room) context.fillText(amount, box.x0 + 12 + used, y);
  }
  context.globalAlpha = 1;
}
