/** Questions about a layout: which tile is at a point, which lies to the left. Pure. */
import type { Items } from "../tree/display_tree";
import type { Box, Layout } from "./layout";

export type Direction = "left" | "right" | "up" | "down";

/** The innermost tile at a point, or null between tiles. */
export function hit(display: Items, zoom: number, layout: Layout, x: number, y: number): Box | null {
  let found: Box | null = null;
  for (let id = zoom; ; ) {
    const next = display
      .item(id)
      .children.map((child) => layout.of.get(child))
      .find((box) => box && x >= box.x0 && x < box.x1 && y >= box.y0 && y < box.y1);
    if (!next) return found;
    found = next;
    if (next.leaf) return found;
    id = next.id;
  }
}

/** The nearest tile of the same level (or a leaf above it) in a direction: first those that face this one. */
export function neighbour(layout: Layout, from: Box, direction: Direction): Box | null {
  const horizontal = direction === "left" || direction === "right";
  const sign = direction === "right" || direction === "down" ? 1 : -1;
  let best: Box | null = null;
  let least = Infinity;
  for (const box of layout.boxes) {
    if (box.id === from.id || !(box.level === from.level || (box.leaf && box.level < from.level))) continue;
    const ahead = horizontal
      ? sign > 0
        ? box.x0 - from.x1
        : from.x0 - box.x1
      : sign > 0
        ? box.y0 - from.y1
        : from.y0 - box.y1;
    if (ahead < -1.5) continue;
    const aside = horizontal ? apart(box.y0, box.y1, from.y0, from.y1) : apart(box.x0, box.x1, from.x0, from.x1);
    const off = horizontal
      ? Math.abs(box.y0 + box.y1 - from.y0 - from.y1)
      : Math.abs(box.x0 + box.x1 - from.x0 - from.x1);
    const distance = Math.max(0, ahead) + 4 * aside + 0.01 * off;
    if (distance < least) [best, least] = [box, distance];
  }
  return best;
}

/** The gap between two stretches; 0 where they overlap. */
function apart(a0: number, a1: number, b0: number, b1: number): number {
  return Math.max(0, a0 - b1, b0 - a1);
}
