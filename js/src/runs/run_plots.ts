/** The curves of one recorded run, or of two over each other. */
import { measure } from "../format";
import { t } from "../language/words";
import { Plot, type Line, type PlotData } from "../burst/plot";
import type { View } from "../parts/view";
import type { Curve } from "../wire/curve";

/** `read` gives one curve or two, each with the name at its end; one alone needs none. */
export function runPlot(view: View, title: string, note: string, read: () => { name: string; curve: Curve }[]): Plot {
  return new Plot(view, { title, note, log: false, height: 130, labels: true, form: measure }, () =>
    overlaid(view, read()),
  );
}

/** Curves of different steps on one axis: each has a value where it has a step, and is passed over elsewhere. */
export function overlaid(view: View, runs: readonly { name: string; curve: Curve }[]): PlotData {
  const { accent, muted, series } = view.palette();
  const steps = [...new Set(runs.flatMap(({ curve }) => [...curve.step]))].sort((a, b) => a - b);
  const place = new Map(steps.map((step, i) => [step, i]));
  const lines: Line[] = [];
  const y: number[][] = [];
  const spread = (curve: Curve, values: Float64Array, lost: number): number[] => {
    const made = new Array<number>(steps.length).fill(NaN);
    curve.step.forEach(
      (step, i) => (made[place.get(step) ?? 0] = Number.isFinite(values[i]) ? (values[i] as number) : lost),
    );
    return made;
  };
  runs.forEach(({ name, curve }, i) => {
    const colour = i ? (series[1] ?? muted) : accent;
    lines.push({ label: name || t("train"), colour, width: 2 });
    y.push(spread(curve, curve.loss, Infinity));
    if (!curve.evaluated.some((v) => Number.isFinite(v))) return;
    lines.push({
      label: runs.length > 1 ? "" : t("eval"),
      colour: runs.length > 1 ? colour : muted,
      width: 2,
      dash: [5, 4],
    });
    y.push(spread(curve, curve.evaluated, NaN));
  });
  return { lines, x: steps, y, end: steps[steps.length - 1] ?? 1 };
}
