/**
 * Where each tile lies: nested squarified boxes, areas by a scale of the parameter count among siblings, and a floor for the
 * first level, so that the smallest component can be seen and hit. Pure: knows neither canvas nor colours. Boxes too small to
 * tell apart are not laid out; their parent stands for them.
 */
import { treemapSquarify, type HierarchyRectangularNode } from "d3-hierarchy";
import type { Item, Items } from "../tree/display_tree";
import type { Area } from "./map_state";

/** No first-level tile is narrower or lower than this, in CSS pixels. */
export const FLOOR_PX = 22;
const FLOOR_LIMIT = 40; // tiles; with more of them there is no room to promise anything
const HEADED_PX: Record<number, number> = { 2: 46, 3: 46 }; // least height of a titled box by level; deeper ones need 90
const SMALLEST_PX2 = 14; // mean area of children below which their parent is drawn instead

export interface Box {
  id: number;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
  /** Levels below the zoomed item, from 1. */
  level: number;
  /** Height of the title strip; 0 without one. */
  header: number;
  /** Nothing is drawn inside. */
  leaf: boolean;
}

export interface Layout {
  width: number;
  height: number;
  /** Parents before children. */
  boxes: Box[];
  of: Map<number, Box>;
}

interface Cell {
  value: number;
  id: number;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
  children?: Cell[];
}

/** Area that a parameter count asks for. */
export function scale(area: Area, params: number): number {
  if (area === "linear") return params;
  return area === "sqrt" ? Math.sqrt(params) : Math.log2(1 + params);
}

/** Lays out what is below an item. `floor` 0 gives the bare scale. */
export function layout(
  display: Items,
  zoom: number,
  width: number,
  height: number,
  area: Area,
  floor = FLOOR_PX,
): Layout {
  const boxes: Box[] = [];
  const place = (item: Item, x0: number, y0: number, x1: number, y1: number, level: number): boolean => {
    const room = (x1 - x0) * (y1 - y0);
    const shown = item.children.filter((id) => level === 1 || display.item(id).params > 0);
    if (!shown.length || x1 - x0 < 3 || y1 - y0 < 3 || room / shown.length < SMALLEST_PX2) return false;
    const gap = level === 1 ? 4 : room / shown.length > 260 ? 2 : 1;
    const half = gap / 2;
    const cells = arrange(
      display,
      shown,
      [x0 - half, y0 - half, x1 + half, y1 + half],
      area,
      level === 1 ? floor + gap : 0,
    );
    const titled = titles(display, cells, gap, level);
    for (const cell of cells) {
      const box: Box = {
        id: cell.id,
        x0: cell.x0 + half,
        y0: cell.y0 + half,
        x1: cell.x1 - half,
        y1: cell.y1 - half,
        level,
        header: 0,
        leaf: true,
      };
      if (box.x1 - box.x0 < 0.35 || box.y1 - box.y0 < 0.35) continue;
      boxes.push(box);
      const child = display.item(cell.id);
      if (!child.children.length) continue;
      const [w, h] = [box.x1 - box.x0, box.y1 - box.y0];
      const pad = w < 14 || h < 14 ? 1 : level === 1 ? 4 : w < 40 || h < 40 ? 2 : 3;
      box.header = level === 1 ? (h >= 40 && w >= 36 ? 18 : 0) : titled && h >= 36 && w >= 26 ? 15 : 0;
      box.leaf = !place(child, box.x0 + pad, box.y0 + (box.header || pad), box.x1 - pad, box.y1 - pad, level + 1);
      if (box.leaf) box.header = 0;
    }
    return true;
  };
  place(display.item(zoom), 0, 0, width, height, 1);
  return { width, height, boxes, of: new Map(boxes.map((box) => [box.id, box])) };
}

/** Whether the containers among brothers get titles: most of them must have room, so that they look alike. */
function titles(display: Items, cells: readonly Cell[], gap: number, level: number): boolean {
  const least = (HEADED_PX[level] ?? 90) + gap;
  const containers = cells.filter((cell) => display.item(cell.id).children.length);
  return 2 * containers.filter((cell) => cell.y1 - cell.y0 >= least).length >= containers.length;
}

/** Squarifies; enlarges what comes out below the floor and tries again until nothing does. */
function arrange(
  display: Items,
  ids: readonly number[],
  [x0, y0, x1, y1]: [number, number, number, number],
  area: Area,
  floor: number,
): Cell[] {
  const cells: Cell[] = ids.map((id) => ({
    id,
    value: scale(area, display.item(id).params),
    x0: 0,
    y0: 0,
    x1: 0,
    y1: 0,
  }));
  const whole = cells.reduce((sum, cell) => sum + cell.value, 0) || 1;
  for (const cell of cells) cell.value = Math.max(cell.value / whole, 1e-9);
  const tries = floor > 0 && cells.length <= FLOOR_LIMIT ? 60 : 0;
  for (let round = 0; ; round++) {
    cells.sort((a, b) => b.value - a.value || a.id - b.id);
    const parent: Cell = {
      id: -1,
      value: cells.reduce((sum, cell) => sum + cell.value, 0),
      x0,
      y0,
      x1,
      y1,
      children: cells,
    };
    treemapSquarify(parent as unknown as HierarchyRectangularNode<unknown>, x0, y0, x1, y1);
    const low = round < tries ? cells.filter((cell) => cell.x1 - cell.x0 < floor || cell.y1 - cell.y0 < floor) : [];
    if (!low.length) return cells;
    const least = (parent.value * floor * floor) / ((x1 - x0) * (y1 - y0) || 1);
    for (const cell of low) cell.value = Math.max(cell.value * 1.15, least);
  }
}
