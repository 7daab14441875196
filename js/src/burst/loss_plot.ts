/** The loss over the steps: training solid, held-out dashed. */
import { measure } from "../format";
import { t } from "../language/words";
import type { View } from "../parts/view";
import { broken } from "./gaps";
import { Plot, type Line } from "./plot";

export function lossPlot(view: View, height: number): Plot {
  const { page } = view;
  const plot = new Plot(
    view,
    { title: t("loss"), note: t("train — eval ┄ text alone ···"), log: false, height, labels: false, form: measure },
    () => {
      const { accent, muted } = view.palette();
      const evaluated = page.rows.fixed("eval_loss");
      const lines: Line[] = [{ label: t("train"), colour: accent, width: 2, whole: true }];
      const y = [page.rows.fixed("loss")];
      if (evaluated.some((v) => !Number.isNaN(v))) {
        lines.push({ label: t("eval"), colour: muted, width: 2, dash: [5, 4] });
        y.push(evaluated);
      }
      const kept = page.rows.fixed("retention_loss");
      if (kept.some((v) => !Number.isNaN(v))) {
        lines.push({ label: t("text alone"), colour: view.palette().series[3] ?? muted, width: 2, dash: [2, 3] });
        y.push(kept);
      }
      const steps = page.rows.fixed("step");
      const marks = [
        ...broken(page.rows.fixed("loss"), steps, false).map((step) => ({ step, what: t("not finite") })),
        ...broken(evaluated, steps, true).map((step) => ({ step, what: t("eval not finite") })),
        ...broken(kept, steps, true).map((step) => ({ step, what: t("text alone not finite") })),
      ];
      return {
        lines,
        marks,
        x: page.rows.fixed("step"),
        y,
        end: Math.max(page.run?.steps ?? 0, last(page.rows.fixed("step"))),
      };
    },
  );
  page.on(["rows", "run"], () => plot.request(), view.signal);
  return plot;
}

export function last(column: Float64Array): number {
  return column[column.length - 1] ?? 0;
}
