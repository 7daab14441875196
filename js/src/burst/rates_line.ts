/** The learning rate of every group as it is now, and where the loss is computed, in one line of text. */
import { rate } from "../format";
import { t } from "../language/words";
import { FIXED } from "../model/rows";
import { fill, h } from "../parts/dom";
import { frame } from "../parts/frame";
import type { View } from "../parts/view";
import { labelOf, seriesColour } from "./colours";

export function ratesLine(view: View): HTMLElement {
  const { page } = view;
  const element = h("p.vf-rates");
  const draw = (): void => {
    const names = page.run?.columns.lr ?? [];
    const { series } = view.palette();
    const groups = names.map((name, i) => {
      const column = page.rows.column(FIXED.length + i);
      const now = column.length
        ? (column[column.length - 1] as number)
        : (page.run?.groups.find((g) => g.component === name)?.lr ?? NaN);
      return { name, now, colour: seriesColour(series, name, i) };
    });
    const where = page.run?.loss_positions ?? null;
    const known = groups.filter((g) => !Number.isNaN(g.now));
    element.hidden = !known.length;
    fill(
      element,
      h("b", {}, "lr"),
      ...known.map(({ name, now, colour }) => {
        const dot = h("i", { "aria-hidden": "true" });
        dot.style.background = colour;
        return h(
          "span",
          {},
          dot,
          `${page.plan?.components.find((c) => c.name === name)?.label ?? labelOf(name)} ${rate(now)}`,
        );
      }),
      where
        ? h(
            "span.vf-positions",
            { title: where.reason },
            where.way === "labels" ? t("loss at the labels only") : t("loss at all positions"),
            h("span.vf-sr", {}, `: ${where.reason}`),
          )
        : null,
    );
  };
  const painter = frame(view.root, draw, view.signal);
  page.on(["rows", "run"], () => painter.request(), view.signal);
  view.onTheme(() => painter.request());
  draw();
  return element;
}
