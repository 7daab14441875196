/** The quick movement between two zooms: the tile grows to fill the map, or shrinks back into its place. Pictures only. */
import type { Layout } from "./layout";

export const ZOOM_MS = 170;

interface Rect {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Zooming {
  /** Draws the state at a time; true when it is over. */
  draw(context: CanvasRenderingContext2D, now: number): boolean;
}

/** From one picture to the next; `tile` is the place of the zoomed item in the outer of the two layouts. */
export function zooming(
  from: HTMLCanvasElement,
  to: HTMLCanvasElement,
  layout: Layout,
  tile: Rect,
  inwards: boolean,
  start: number,
): Zooming {
  const full: Rect = { x: 0, y: 0, w: layout.width, h: layout.height };
  return {
    draw(context, now) {
      const t = Math.min(1, (now - start) / ZOOM_MS);
      const eased = 1 - (1 - t) ** 3;
      const at = inwards ? eased : 1 - eased;
      const r: Rect = {
        x: tile.x * (1 - at),
        y: tile.y * (1 - at),
        w: tile.w + (full.w - tile.w) * at,
        h: tile.h + (full.h - tile.h) * at,
      };
      const [sx, sy] = [r.w / tile.w, r.h / tile.h];
      const [outer, inner] = inwards ? [from, to] : [to, from];
      context.clearRect(0, 0, full.w, full.h);
      context.globalAlpha = 1;
      context.drawImage(outer, r.x - tile.x * sx, r.y - tile.y * sy, full.w * sx, full.h * sy);
      context.globalAlpha = Math.min(1, inwards ? 0.15 + eased : 1.15 - eased);
      context.drawImage(inner, r.x, r.y, r.w, r.h);
      context.globalAlpha = 1;
      return t >= 1;
    },
  };
}

/** A copy of what a canvas shows. */
export function picture(canvas: HTMLCanvasElement): HTMLCanvasElement {
  const copy = canvas.ownerDocument.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height;
  copy.getContext("2d")?.drawImage(canvas, 0, 0);
  return copy;
}
