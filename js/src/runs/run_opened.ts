/** One recorded run: its curve, verdicts and settings; its strategy can be taken over, and a report written. */
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import type { OpenedRun } from "../wire/runs_state";
import { runPlot } from "./run_plots";

const SIGN = { ok: "✓", warning: "!", failure: "✗", pending: "…" };

export function runOpened(view: View, opened: () => OpenedRun | null): { element: HTMLElement; draw: () => void } {
  const { page } = view;
  const plot = runPlot(view, t("loss"), t("train — eval ┄"), () => {
    const run = opened();
    return run ? [{ name: "", curve: run.curve }] : [];
  });
  const head = h("div.vf-probe-head");
  const facts = h("p.vf-muted.vf-runs-facts");
  const list = h("ul");
  const verdicts = h("div.vf-verdicts", {}, h("h3", {}, h("b", {}, t("does it train?"))), list);
  const element = h(
    "section.vf-runs-open",
    { "aria-label": t("The run that is open"), hidden: true },
    head,
    facts,
    h("div.vf-runs-pair", {}, plot.element, verdicts),
  );
  let drawn: unknown;

  function draw(): void {
    const run = opened();
    element.hidden = !run;
    if (!run) return;
    plot.request();
    const key = JSON.stringify([run.row, run.message, run.why_not, page.alive]);
    if (key === drawn) return;
    drawn = key;
    const { name } = run.row;
    const take = h(
      "button.vf-button",
      {
        type: "button",
        disabled: !page.alive || run.why_not !== null,
        title: run.why_not ?? t("The map and the controls show it; one undo takes it back"),
        onclick: () => void page.request("runs_take", { name }),
      },
      t("Use its strategy"),
    );
    const report = h(
      "button.vf-button",
      {
        type: "button",
        disabled: !page.alive,
        title: t("One HTML file beside the run, which opens without a kernel"),
        onclick: () => void page.request("runs_report", { name }),
      },
      t("Report…"),
    );
    const close = h(
      "button.vf-button",
      { type: "button", disabled: !page.alive, onclick: () => void page.request("runs_open", { name: "" }) },
      t("Close"),
    );
    fill(
      head,
      h("h3", {}, h("b", {}, name), " ", h("span.vf-muted", {}, run.row.sentence)),
      h("div.vf-group", {}, take, report, close),
    );
    fill(
      facts,
      [run.model, ...run.settings.map((s) => `${s.name} ${s.value}`), run.message].filter(Boolean).join(" · "),
    );
    fill(
      list,
      ...run.verdicts.map((v) =>
        h(
          "li",
          { "data-status": v.status },
          h("i", { "aria-hidden": "true" }, SIGN[v.status]),
          h("div", {}, h("b", {}, v.label), ` ${v.text}`),
        ),
      ),
    );
    verdicts.hidden = !run.verdicts.length;
  }

  return { element, draw };
}
