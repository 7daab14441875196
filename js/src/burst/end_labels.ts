/** Names at the ends of the lines, in their colours, pushed apart where they would overlap: no legend to look up. */
import type uPlot from "uplot";
import type { Line } from "./plot";

const LINE_PX = 13;

export function endLabels(u: uPlot, lines: readonly Line[], font: string): void {
  const ratio = u.bbox.width / (u.over.clientWidth || u.bbox.width) || 1;
  const ends = lines.flatMap((line, i) => {
    const column = u.data[i + 1] ?? [];
    let last = column.length - 1;
    while (last >= 0 && typeof column[last] !== "number") last--;
    if (last < 0) return [];
    return [
      { line, x: u.valToPos(u.data[0][last] as number, "x", true), y: u.valToPos(column[last] as number, "y", true) },
    ];
  });
  const places = spread(
    ends.map((end) => end.y),
    LINE_PX * ratio,
    u.bbox.top,
    u.bbox.top + u.bbox.height,
  );
  const { ctx } = u;
  ctx.save();
  ctx.font = `${10.5 * ratio}px ${font}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  ends.forEach(({ line, x }, i) => {
    ctx.fillStyle = line.colour;
    ctx.fillText(line.label, x + 7 * ratio, places[i] as number);
  });
  ctx.restore();
}

/** Moves positions apart so that neighbours are at least a step from each other, within bounds, in their order. */
export function spread(positions: readonly number[], step: number, low: number, high: number): number[] {
  const order = positions.map((_, i) => i).sort((a, b) => (positions[a] as number) - (positions[b] as number));
  const placed = [...positions];
  let floor = low;
  for (const i of order) floor = (placed[i] = Math.max(placed[i] as number, floor)) + step;
  let ceiling = high;
  for (const i of [...order].reverse()) ceiling = (placed[i] = Math.min(placed[i] as number, ceiling)) - step;
  return placed;
}
