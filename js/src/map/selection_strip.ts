/** The card of modules selected on the map: what they are, their tuning, and the way to take their own rule away. */
import { count } from "../format";
import { setTuning } from "../map/actions";
import { describe } from "../map/describe";
import type { MapState } from "../map/map_state";
import { tuningOf } from "../map/tile_style";
import { fill, h, say } from "../parts/dom";
import { icon } from "../parts/icons";
import { segmented } from "../parts/segmented";
import type { View } from "../parts/view";
import { NONE, ROW_TUNINGS } from "../wire/plan_state";

export function selectionCard(view: View, state: MapState): HTMLElement {
  const { page } = view;
  const path = h("b.vf-path");
  const about = h("span.vf-muted");
  const norm = h("span.vf-muted");
  const tuning = segmented("Tuning of the selection", (value) => setTuning(view, state, value));
  const clear = h("button.vf-button.vf-small", { type: "button", title: "Take the module's own rule away (X)", onclick: () => setTuning(view, state, "inherit") }, "as its component");
  const close = h("button.vf-iconbutton", { type: "button", "aria-label": "Clear the selection", title: "Clear the selection (Esc)", onclick: () => state.select([]) }, icon("close"));
  const element = h("section.vf-card.vf-selection", { "aria-label": "Selection", hidden: true }, h("div.vf-row-main", {}, path, h("span.vf-space"), close), h("div.vf-lines", {}, about, norm), h("div.vf-row-main", {}, tuning.element, clear));

  const draw = (): void => {
    const ids = state.acting;
    const modules = ids.filter((id) => !state.display.item(id).isComponent);
    element.hidden = !state.selected.size || (!modules.length && ids.length < 2);
    if (element.hidden) return;
    const { display } = state;
    const { tree } = display;
    const total = ids.reduce((sum, id) => sum + display.item(id).params, 0);
    const only = ids.length === 1 ? describe(view, state, ids[0] as number) : null;
    fillPath(path, only ? only.path : `${ids.length} modules`);
    say(about, only ? [only.className, only.params, only.tied].filter(Boolean).join(" · ") : `${count(total)} parameters`);
    say(norm, only?.norm ?? "");
    const codes = new Set(ids.map((id) => tuningOf(display, page.plan, id)).filter((code) => code !== NONE));
    const shown = codes.size === 1 ? (ROW_TUNINGS[[...codes][0] as number] ?? "mixed") : "mixed";
    const canLora = ids.some((id) => {
      const node = display.item(id).node;
      return node < 0 || tree.state.lora.subarray(node, tree.end[node]).includes(1);
    });
    tuning.show(shown, page.alive, canLora);
    const targets = new Set(ids.map((id) => display.item(id).target));
    clear.disabled = !page.alive || !(page.plan?.rules ?? []).some((rule) => targets.has(rule.target));
  };
  draw();
  state.on(["selection"], draw, view.signal);
  page.on(["plan", "paint", "connection"], draw, view.signal);
  return element;
}

/** Long paths may break after each dot. */
function fillPath(element: HTMLElement, path: string): void {
  if (element.dataset.path === path) return;
  element.dataset.path = path;
  fill(element, ...path.split(/(?<=\.)/).flatMap((part) => [document.createTextNode(part), h("wbr")]));
}
