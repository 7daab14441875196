/** What a step costs: one bar against a GPU, whether it fits, and what it rests on. Before Python has said more, the plan's own sum. */
import { t } from "../language/words";
import { fill, h, say } from "../parts/dom";
import type { View } from "../parts/view";
import type { CostState } from "../wire/cost_state";
import type { Cost } from "../wire/plan_state";
import { costBar, costKey, type Amounts } from "./cost_bar";
import { costControls } from "./cost_controls";
import { comparison, componentTable, switchList } from "./cost_tables";

export function costCard(view: View): HTMLElement {
  const { page } = view;
  const controls = costControls(view);
  const title = h("b");
  const basis = h("span.vf-muted");
  const bar = h("div");
  const fit = h("p.vf-cost-fit", { role: "status" });
  const lines = h("div.vf-cost-lines.vf-muted");
  const switches = h("div");
  const table = h("div");
  const measured = h("div.vf-cost-measured");
  const own = h("p.vf-muted", {}, t("For the estimate alone: Run keeps its own batches and settings."));
  const parts = h("details.vf-cost-more", {}, h("summary", {}, t("By component")), table);
  const assumed = h("details.vf-cost-more", {}, h("summary", {}, t("Batch and settings")), own, controls.rest);
  const others = h("details.vf-cost-more", {}, h("summary", {}, t("What would change it")), switches);
  const more = h("div", {}, fit, lines, assumed, others, parts, measured);
  const element = h(
    "section.vf-card.vf-cost",
    { "aria-label": t("Cost") },
    h("div.vf-cost-head", {}, h("div.vf-cost-title", {}, title, basis), controls.device),
    bar,
    more,
  );
  let drawn: unknown;

  function draw(): void {
    const { cost } = page;
    const plain = page.plan?.cost ?? null;
    const key = JSON.stringify([cost?.number ?? plain, page.alive]);
    if (key === drawn) return;
    drawn = key;
    element.hidden = !cost && !plain;
    controls.device.hidden = more.hidden = !cost;
    if (cost) full(cost);
    else if (plain) sums(plain);
  }

  function sums(plain: Cost): void {
    say(title, plain.title);
    say(basis, plain.note);
    const amounts: Amounts = { parts: plain.parts, total: plain.total_bytes, limit: plain.limit_bytes };
    fill(bar, costBar(amounts), costKey(amounts, plain.limit_bytes !== null && plain.total_bytes > plain.limit_bytes));
  }

  function full(cost: CostState): void {
    const pending = cost.status === "estimating" ? t("activations: estimating…") : "";
    const amounts: Amounts = {
      parts: cost.parts,
      total: cost.total_bytes,
      limit: cost.limit?.usable_bytes ?? null,
      pending,
    };
    say(title, cost.status === "ready" ? t("Cost of one step") : t("Cost of one step, without activations"));
    say(basis, [cost.basis, cost.at && t("highest {when}", { when: cost.at })].filter(Boolean).join(" · "));
    fill(bar, costBar(amounts), costKey(amounts, cost.limit !== null && cost.fits === false, cost.upper_bytes));
    say(fit, cost.fit);
    fit.hidden = !cost.fit;
    fit.dataset.fits = String(cost.fits);
    fill(
      lines,
      ...cost.lines.map((line) => h("p", {}, line)),
      ...cost.notes.map((note) => h("p.vf-cost-note", {}, note)),
    );
    controls.show(cost);
    own.hidden = !cost.has_batch;
    fill(switches, ...switchList(view, cost));
    others.hidden = cost.status !== "ready";
    fill(table, componentTable(cost));
    fill(measured, ...comparison(cost));
  }

  draw();
  page.on(["cost", "plan", "connection"], draw, view.signal);
  return element;
}
