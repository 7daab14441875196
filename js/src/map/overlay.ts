/** What lies over the tiles and changes with every move: hover, selection, focus ring, the component that a row points at. */
import type { Box, Layout } from "./layout";
import type { MapState } from "./map_state";
import type { Palette } from "../parts/palette";

export function paintOverlay(
  context: CanvasRenderingContext2D,
  layout: Layout,
  state: MapState,
  palette: Palette,
  keyboard: boolean,
): void {
  context.clearRect(0, 0, layout.width, layout.height);
  const pointed = layout.of.get(state.pointed);
  if (pointed)
    ring(context, pointed, palette.accent, 2, 0, palette.dark ? "rgba(127,162,255,.14)" : "rgba(47,95,208,.10)");
  const hover = layout.of.get(state.hover);
  if (hover) ring(context, hover, palette.ink, 1, 0);
  for (const id of state.selected) {
    const box = layout.of.get(id) ?? layout.of.get(state.display.shownOf(id));
    if (box) ring(context, box, palette.accent, 2.5, 0);
  }
  const focus = keyboard ? layout.of.get(state.focus) : undefined;
  if (focus) {
    ring(context, focus, palette.surface, 4, 0);
    ring(context, focus, palette.focus, 2, 0);
    context.setLineDash([]);
  }
}

function ring(
  context: CanvasRenderingContext2D,
  box: Box,
  colour: string,
  width: number,
  inset: number,
  fill?: string,
): void {
  const [w, h] = [box.x1 - box.x0 - 2 * inset, box.y1 - box.y0 - 2 * inset];
  if (w <= 0 || h <= 0) return;
  context.beginPath();
  context.roundRect(box.x0 + inset, box.y0 + inset, w, h, Math.min(5, w / 4, h / 4));
  if (fill) {
    context.fillStyle = fill;
    context.fill();
  }
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}
