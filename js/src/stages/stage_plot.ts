/** The losses of all stages as one curve, with a line where a stage begins; of the stage that runs, its rows as they come. */
import { measure } from "../format";
import { t } from "../language/words";
import { Plot, type Line, type PlotData } from "../burst/plot";
import type { View } from "../parts/view";
import type { Chosen } from "../wire/stages_state";

export function stagePlot(view: View, height: number, chosen: () => Chosen | null): Plot {
  return new Plot(
    view,
    { title: t("loss of all stages"), note: t("train — eval ┄"), log: false, height, labels: false, form: measure },
    () => joined(view, chosen()),
  );
}

/** Steps count on from stage to stage. A gap between two stages keeps their lines apart: the first loss of one does not follow from the last of another. */
export function joined(view: View, chosen: Chosen | null): PlotData {
  const { rows } = view.page;
  const { accent, muted } = view.palette();
  const [x, loss, evaluated]: [number[], number[], number[]] = [[], [], []];
  const sections: { from: number; name: string }[] = [];
  let before = 0;
  for (const stage of chosen?.stages ?? []) {
    const live = stage.status === "running" && !stage.curve.step.length && rows.burst === stage.burst;
    const curve = live
      ? { step: rows.fixed("step"), loss: rows.fixed("loss"), evaluated: rows.fixed("eval_loss") }
      : stage.curve;
    sections.push({ from: before, name: stage.name });
    if (x.length && curve.step.length) {
      x.push(before);
      loss.push(NaN);
      evaluated.push(Infinity);
    }
    curve.step.forEach((step, i) => {
      x.push(before + step);
      loss.push(curve.loss[i] ?? NaN);
      evaluated.push(curve.evaluated[i] ?? NaN);
    });
    before += stage.status === "done" ? stage.taken : stage.steps;
  }
  const lines: Line[] = [{ label: t("train"), colour: accent, width: 2, whole: true }];
  const y = [loss];
  if (evaluated.some((v) => Number.isFinite(v))) {
    lines.push({ label: t("eval"), colour: muted, width: 2, dash: [5, 4] });
    y.push(evaluated);
  }
  return { lines, x, y, sections, end: before };
}
