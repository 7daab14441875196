/** A line down through the plot at each step whose value is not finite, with the word for it: a gap alone is easily missed. */
import type uPlot from "uplot";
import { t } from "../language/words";
import type { Palette } from "../parts/palette";

export interface Mark {
  step: number;
  /** What is no number there: "not finite", "eval not finite". */
  what: string;
}

const WORDS_ROOM = 120; // CSS pixels of the words beside a line
const ROW = 13;

export function marks(u: uPlot, found: readonly Mark[], palette: Palette): void {
  const { ctx, bbox } = u;
  let free = -Infinity;
  let row = 0;
  for (const { step, what } of [...found].sort((a, b) => a.step - b.step)) {
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
    // Words of neighbours stand under each other; of many in a row the first three speak for all.
    row = x < free ? row + 1 : 0;
    free = Math.max(free, x + WORDS_ROOM * devicePixelRatio);
    if (row < 3)
      ctx.fillText(
        t("{what} at step {step}", { what, step }),
        x + (left ? -4 : 4) * devicePixelRatio,
        bbox.top + row * ROW * devicePixelRatio,
      );
    ctx.restore();
  }
}
