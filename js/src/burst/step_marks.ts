/** A line down through the plot at each step whose value is not finite, with the word for it: a gap alone is easily missed. */
import type uPlot from "uplot";
import type { Palette } from "../map/palette";

export function marks(u: uPlot, steps: readonly number[], palette: Palette): void {
  const { ctx, bbox } = u;
  for (const step of steps) {
    const x = Math.round(u.valToPos(step, "x", true));
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = palette.failure;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.font = `${11 * devicePixelRatio}px ${palette.font}`;
    const left = x > bbox.left + bbox.width * 0.75;
    ctx.textAlign = left ? "right" : "left";
    ctx.textBaseline = "top";
    ctx.fillText(`NaN at step ${step}`, x + (left ? -4 : 4) * devicePixelRatio, bbox.top);
    ctx.restore();
  }
}
