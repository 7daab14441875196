/** Below the bar: what switches would change, the components, and a burst next to its estimate. */
import { t } from "../language/words";
import { fill, h, type Child } from "../parts/dom";
import type { View } from "../parts/view";
import { size } from "../format";
import type { CostState } from "../wire/cost_state";

const FREEZE = "freeze ";

/** One line per switch; its name does what it says. */
export function switchList(view: View, cost: CostState): Child[] {
  if (cost.status !== "ready") return [];
  if (!cost.switches) return [h("p.vf-muted", { role: "status" }, t("estimating what switches change…"))];
  return [
    h(
      "ul.vf-cost-switches",
      { "aria-label": t("What switches would change") },
      ...cost.switches.map((s) =>
        h(
          "li",
          {},
          h(
            "button.vf-link",
            {
              type: "button",
              disabled: !view.page.alive,
              title: t("Do it: {switch}", { switch: s.label }),
              onclick: () => flip(view, cost, s.name),
            },
            s.label,
          ),
          " ",
          h("span.vf-muted", {}, s.text),
        ),
      ),
    ),
  ];
}

function flip(view: View, cost: CostState, name: string): void {
  if (name.startsWith(FREEZE))
    void view.page.request("set_tuning", { targets: [name.slice(FREEZE.length)], tuning: "frozen" });
  else if (name === "checkpointing")
    void view.page.request("cost", { change: { checkpointing: !cost.settings.checkpointing } });
  else if (name === "loss_positions")
    void view.page.request("cost", {
      change: { loss_positions: cost.settings.loss_positions === "all" ? "labels" : "all" },
    });
  else void view.page.request("cost", { change: { optimizer: name } });
}

export function componentTable(cost: CostState): HTMLElement {
  const cell = (bytes: number): HTMLElement => h("td", {}, bytes ? size(bytes) : "–");
  const rows = cost.components.map((c) =>
    h("tr", {}, h("th", { scope: "row" }, c.label), cell(c.weights), cell(c.trains), cell(c.activations)),
  );
  return table([t("component"), t("weights"), t("training"), t("activations")], rows);
}

/** Estimated beside measured; empty before the first burst. */
export function comparison(cost: CostState): Child[] {
  const { comparison: found } = cost;
  if (!found) return [];
  const rows = found.rows.map((r) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, r.label),
      h("td", {}, r.estimated),
      h("td", {}, r.measured),
      h("td", {}, r.error || "–"),
    ),
  );
  return [
    h(
      "div.vf-cost-title",
      {},
      h("b", {}, t("Burst {number}", { number: found.burst })),
      h("span.vf-muted", {}, t("estimated and measured")),
    ),
    table(["", t("estimated"), t("measured"), t("error")], rows),
    h("p.vf-muted", {}, found.note),
  ];
}

function table(heads: string[], rows: HTMLElement[]): HTMLElement {
  const element = h("div.vf-scroll", {});
  fill(
    element,
    h(
      "table.vf-links",
      {},
      h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, ...rows),
    ),
  );
  return element;
}
