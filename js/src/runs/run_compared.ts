/** Two recorded runs side by side: their curves over each other, and what differs. */
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import type { ComparedRuns, Difference } from "../wire/runs_state";
import { runPlot } from "./run_plots";

const PARTS: Record<Difference["part"], () => string> = {
  strategy: () => t("strategy"),
  settings: () => t("setting"),
  model: () => t("model"),
  versions: () => t("version"),
};

export function runCompared(
  view: View,
  compared: () => ComparedRuns | null,
): { element: HTMLElement; draw: () => void } {
  const { page } = view;
  const plot = runPlot(view, t("loss"), t("train — eval ┄"), () => {
    const two = compared();
    return two ? two.names.map((name, i) => ({ name, curve: two.curves[i as 0 | 1] })) : [];
  });
  const head = h("div.vf-probe-head");
  const facts = h("p.vf-muted.vf-runs-facts");
  const table = h("div.vf-scroll");
  const element = h(
    "section.vf-runs-open",
    { "aria-label": t("Two runs side by side"), hidden: true },
    head,
    facts,
    plot.element,
    table,
  );
  let drawn: unknown;

  function draw(): void {
    const two = compared();
    element.hidden = !two;
    if (!two) return;
    plot.request();
    const key = JSON.stringify([two.names, two.differences, two.data, two.same_until, page.alive]);
    if (key === drawn) return;
    drawn = key;
    const close = h(
      "button.vf-button",
      {
        type: "button",
        disabled: !page.alive,
        onclick: () => void page.request("runs_compare", { name: "", other: "" }),
      },
      t("Close"),
    );
    fill(
      head,
      h("h3", {}, h("b", {}, t("what differs")), " ", h("span.vf-muted", {}, two.names.join(" | "))),
      h("div.vf-group", {}, close),
    );
    fill(
      facts,
      [
        `${t("data")}: ${two.data}`,
        two.same_until
          ? t("equal bit for bit up to step {step}", { step: two.same_until })
          : t("not one step is equal bit for bit"),
      ].join(" · "),
    );
    const heads = ["", t("what"), ...two.names];
    const rows = two.differences.map((d) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, PARTS[d.part]()),
        h("td.vf-place", {}, d.name),
        h("td.vf-place", {}, d.here || "–"),
        h("td.vf-place", {}, d.there || "–"),
      ),
    );
    fill(
      table,
      rows.length
        ? h(
            "table.vf-links.vf-differences",
            { "aria-label": t("what differs") },
            h("thead", {}, h("tr", {}, ...heads.map((words) => h("th", { scope: "col" }, words)))),
            h("tbody", {}, ...rows),
          )
        : h("p.vf-muted", {}, t("Strategy, settings, model and versions are the same.")),
    );
  }

  return { element, draw };
}
