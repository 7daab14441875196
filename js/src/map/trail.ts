/** The breadcrumbs over the map: where the zoom is, and the way back. */
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import type { MapState } from "./map_state";

export function trail(view: View, state: MapState): HTMLElement {
  const element = h("nav.vf-trail", { "aria-label": t("Zoom") });
  const draw = (): void => {
    const items = state.display.trail(state.zoom);
    const crumb = (id: number, label: string, here: boolean): HTMLElement =>
      here
        ? h("span", { "aria-current": "location" }, label)
        : h("button.vf-link", { type: "button", onclick: () => state.zoomTo(id) }, label);
    fill(
      element,
      crumb(0, t("model"), false),
      ...items.flatMap((item, i) => [
        h("i", { "aria-hidden": "true" }, "›"),
        crumb(item.id, item.label, i === items.length - 1),
      ]),
      items.length ? null : h("i", { "aria-hidden": "true" }, "›"),
      items.length ? null : h("span", { "aria-current": "location" }, t("all components")),
    );
  };
  draw();
  state.on(["zoom", "fold"], draw, view.signal);
  return element;
}
