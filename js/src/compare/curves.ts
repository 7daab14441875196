/** The loss of every contender over the steps, mean of its runs, in one plot. */
import { measure } from "../format";
import { t } from "../language/words";
import type { View } from "../parts/view";
import { Plot, type Line } from "../burst/plot";
import type { Contender, Curve } from "../wire/compare_state";
import { colour, letter } from "./marks";

export type Shown = "curve" | "train";

export function curves(view: View, shown: () => Shown, height: number): Plot {
  const { page } = view;
  const plot = new Plot(
    view,
    {
      title: t("loss of each"),
      note: t("mean of its runs, at equal steps"),
      log: false,
      height,
      labels: true,
      form: measure,
    },
    () => {
      const { series } = view.palette();
      const drawn = (page.compare?.contenders ?? [])
        .filter((c) => c[shown()].steps.length)
        .sort((a, b) => a.index - b.index);
      const lines = drawn.map(
        (c): Line => ({ label: letter(c.index), colour: colour(series, c.index), width: c.place === 1 ? 2.5 : 1.75 }),
      );
      const x = [...new Set(drawn.flatMap((c) => c[shown()].steps))].sort((a, b) => a - b);
      return { lines, x, y: drawn.map((c) => at(c[shown()], x)), end: page.compare?.steps ?? 1 };
    },
  );
  page.on(["compare"], () => plot.request(), view.signal);
  return plot;
}

/** What can be shown: only the training loss where nobody looks at held-out data often enough for a curve. */
export function hasCurve(contenders: readonly Contender[], which: Shown): boolean {
  return contenders.some((c) => c[which].steps.length > 1);
}

function at(curve: Curve, x: readonly number[]): number[] {
  const known = new Map(curve.steps.map((step, i) => [step, curve.values[i] ?? NaN]));
  return x.map((step) => known.get(step) ?? NaN);
}
