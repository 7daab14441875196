/** An item in words, for the tooltip, the screen reader and the card of a selection. */
import { count, measure } from "../format";
import type { View } from "../parts/view";
import type { MapState } from "./map_state";
import { normOf, tuningOf } from "./tile_style";

export const TUNING_NAMES = ["frozen", "LoRA", "full", "mixed", "no parameters"];

export interface Description {
  path: string;
  className: string;
  params: string;
  tuning: string;
  /** "shared with …", or "". */
  tied: string;
  /** The last step's gradient norm, or "". */
  norm: string;
}

export function describe(view: View, state: MapState, id: number): Description {
  const { display } = state;
  const { tree } = display;
  const item = display.item(id);
  const owner = item.node >= 0 ? tree.sharedWith.get(item.node) : undefined;
  const own = item.node >= 0 ? (tree.state.own[item.node] ?? 0) : 0;
  const norm = normOf(display, view.page.paint?.values ?? null, id);
  const parts = item.node < 0 ? `${item.children.length} modules` : tree.className(item.node);
  return {
    path: display.pathOf(id),
    className: parts,
    params: own > 0 && own !== item.params ? `${count(item.params)} in total, ${count(own)} of its own` : `${count(item.params)} parameters`,
    tuning: TUNING_NAMES[tuningOf(display, view.page.plan, id)] ?? "",
    tied: owner === undefined ? "" : `shared with ${tree.path(owner)}`,
    norm: Number.isNaN(norm) ? "" : `gradient norm ${measure(norm)} at step ${view.page.paint?.step ?? 0}`,
  };
}

/** One sentence for a screen reader. */
export function sentence(view: View, state: MapState, id: number): string {
  const d = describe(view, state, id);
  const item = state.display.item(id);
  const inside = item.children.length ? `${item.children.length} inside` : "";
  const selected = state.selected.has(id) ? "selected" : "";
  return [item.label, d.className, d.params, d.tuning, d.tied, d.norm, inside, selected].filter(Boolean).join(", ");
}
