/** The loss over the steps: training solid, held-out dashed. */
import { measure } from "../format";
import type { View } from "../parts/view";
import { Plot } from "./plot";

export function lossPlot(view: View, height: number): Plot {
  const { page } = view;
  const plot = new Plot(view, { title: "loss", note: "train — eval ┄", log: false, height, labels: false, form: measure }, () => {
    const { accent, muted } = view.palette();
    const evaluated = page.rows.fixed("eval_loss");
    const lines = [{ label: "train", colour: accent, width: 2 }];
    const y = [page.rows.fixed("loss")];
    if (evaluated.some((v) => !Number.isNaN(v))) {
      lines.push({ label: "eval", colour: muted, width: 2, ...{ dash: [5, 4] } });
      y.push(evaluated);
    }
    return { lines, x: page.rows.fixed("step"), y, end: Math.max(page.run?.steps ?? 0, last(page.rows.fixed("step"))) };
  });
  page.on(["rows", "run"], () => plot.request(), view.signal);
  return plot;
}

export function last(column: Float64Array): number {
  return column[column.length - 1] ?? 0;
}
