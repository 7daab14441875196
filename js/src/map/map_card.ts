/** The map with all that belongs to it: breadcrumbs, tools, treemap or list, legend. */
import { t } from "../language/words";
import { h } from "../parts/dom";
import { uniqueId, type View } from "../parts/view";
import { CanvasMap } from "./canvas_map";
import { hints, legend } from "./legend";
import { mapInput } from "./map_input";
import type { MapState } from "./map_state";
import { selectionStrip } from "./selection_strip";
import { toolbar } from "./toolbar";
import { trail } from "./trail";
import { TreeGrid } from "./tree_grid";

export function mapCard(view: View, state: MapState): HTMLElement {
  const map = new CanvasMap(view, state);
  const grid = new TreeGrid(view, state);
  const keys = hints(view, state);
  const help = uniqueId("help");
  map.element.setAttribute("aria-label", t("Map of {model}", { model: state.display.root.label || t("model") }));
  map.element.setAttribute("aria-describedby", help);
  mapInput(view, state, map);
  const element = h(
    "section.vf-mapcard",
    { "aria-label": t("Map of the model") },
    h("div.vf-mapbar", {}, trail(view, state), toolbar(view, state)),
    h(
      "p.vf-sr",
      { id: help },
      t(
        "Arrow keys move between modules. Enter goes inside or shows folded blocks one by one, minus folds them again, Escape goes back. F freezes, L adapts by LoRA, T trains in full, X takes the module's own rule away. The list button shows the same as a table.",
      ),
    ),
    map.element,
    grid.element,
    legend(view, state, map),
    h("div.vf-under", {}, keys, selectionStrip(view, state, keys)),
  );
  const height = (): void => element.style.setProperty("--map-height", `${view.page.options.height}px`);
  const mode = (): void => {
    const list = state.mode === "list";
    grid.element.hidden = !list;
    map.element.hidden = list;
    if (list && state.focus > 0) grid.reveal(state.focus);
    else if (list) grid.arrange();
    else map.resize(map.element.clientWidth, map.element.clientHeight);
  };
  height();
  mode();
  state.on(["mode"], mode, view.signal);
  view.page.on(
    ["options"],
    () => {
      height();
      map.resize(map.element.clientWidth, map.element.clientHeight);
    },
    view.signal,
  );
  return element;
}
