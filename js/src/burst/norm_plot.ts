/** The gradient norm of each component over the steps, before clipping, on a log axis; and of one module when one is selected. */
import { measure } from "../format";
import { t } from "../language/words";
import type { MapState } from "../map/map_state";
import type { View } from "../parts/view";
import { FIXED } from "../model/rows";
import { labelOf, seriesColour } from "./colours";
import { Drill } from "./drill";
import { last } from "./loss_plot";
import { Plot, type Line } from "./plot";

export function normPlot(view: View, height: number, state: MapState | null): Plot {
  const { page } = view;
  const drill = state && new Drill(view, state, () => plot.request());
  const plot: Plot = new Plot(
    view,
    {
      title: t("gradient norm"),
      note: t("per component, log, before clipping"),
      log: true,
      height,
      labels: true,
      form: measure,
    },
    () => {
      const palette = view.palette();
      const names = page.run?.columns.grad_norm ?? [];
      const first = FIXED.length + (page.run?.columns.lr.length ?? 0);
      const columns = names
        .map((name, i) => ({ name, column: page.rows.column(first + i), i }))
        .filter(({ column }) => column.some((v) => v > 0));
      const lines: Line[] = columns.map(({ name, i }) => ({
        label: page.plan?.components.find((c) => c.name === name)?.label ?? labelOf(name),
        colour: seriesColour(palette.series, name, i),
      }));
      const y: ArrayLike<number>[] = columns.map(({ column }) => column);
      if (drill && drill.node >= 0 && drill.values.some((v) => v > 0)) {
        lines.push({ label: drill.label, colour: palette.ink, dash: [2, 3], width: 2 });
        y.push(Array.from({ length: page.rows.length }, (_, i) => drill.values[i] ?? NaN));
      }
      const steps = page.rows.fixed("step");
      return { lines, x: steps, y, end: Math.max(page.run?.steps ?? 0, last(steps)) };
    },
  );
  page.on(["rows", "run"], () => plot.request(), view.signal);
  return plot;
}
