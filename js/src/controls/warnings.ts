/** The plan's warnings: what, how bad, what to do about it; at which modules, with a click that selects them. */
import type { MapState } from "../map/map_state";
import { fill, h } from "../parts/dom";
import { icon } from "../parts/icons";
import type { View } from "../parts/view";
import type { Warning } from "../wire/plan_state";

export function warnings(view: View, state: MapState): HTMLElement {
  const element = h("section.vf-warnings", { "aria-label": "Warnings", hidden: true });
  let last = "";
  const draw = (): void => {
    const all = view.page.plan?.warnings ?? [];
    const key = JSON.stringify(all);
    if (key === last) return;
    last = key;
    element.hidden = !all.length;
    const order = [...all].sort((a, b) => Number(b.severity === "refusal") - Number(a.severity === "refusal"));
    fill(element, ...order.map((warning) => card(warning)));
  };

  function card(warning: Warning): HTMLElement {
    const ids = warning.paths.map((path) => state.display.component(path)?.id ?? state.display.base.itemOfNode.get(state.display.tree.find(path)) ?? -1).filter((id) => id > 0);
    const where = warning.paths[0] ? `${warning.paths[0]}${warning.count > 1 ? ` and ${warning.count - 1} more` : ""}` : "";
    const select = (): void => {
      state.select(ids);
      state.focusOn(ids[0] ?? -1);
    };
    return h(
      "div.vf-warning",
      { "data-severity": warning.severity },
      icon(warning.severity),
      h("div", {}, h("span.vf-sr", {}, warning.severity === "refusal" ? "Refused: " : "Warning: "), warning.message, warning.remedy ? h("span.vf-remedy", {}, ` ${warning.remedy}`) : null, where && ids.length ? h("button.vf-link.vf-where", { type: "button", title: "Select on the map", onclick: select }, where) : where ? h("span.vf-where", {}, where) : null),
    );
  }

  draw();
  view.page.on(["plan"], draw, view.signal);
  return element;
}
