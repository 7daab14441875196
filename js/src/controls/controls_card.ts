/** The card of the components: one row each, in the order of the plan; rows are kept while the plan changes, so focus stays. */
import { t } from "../language/words";
import type { MapState } from "../map/map_state";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import { componentRow, type ComponentRow } from "./component_row";

export function controlsCard(view: View, state: MapState): HTMLElement {
  const element = h("section.vf-card.vf-controls", { "aria-label": t("What trains") });
  const rows = new Map<string, ComponentRow>();
  const draw = (): void => {
    const components = view.page.plan?.components ?? [];
    const names = components.map((c) => c.name);
    if (names.join() !== [...rows.keys()].join()) {
      rows.clear();
      for (const name of names) rows.set(name, componentRow(view, state, name));
      fill(element, ...[...rows.values()].map((row) => row.element));
    }
    for (const component of components) rows.get(component.name)?.update(component);
  };
  draw();
  view.page.on(["plan", "connection"], draw, view.signal);
  const mark = (): void => {
    for (const [name, row] of rows)
      row.element.dataset.selected = String(state.selected.has(state.display.component(name)?.id ?? -1));
  };
  state.on(["selection"], mark, view.signal);
  return element;
}
