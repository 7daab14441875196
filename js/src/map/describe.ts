/** An item in words, for the tooltip, the screen reader and the card of a selection. */
import { count, measure } from "../format";
import type { View } from "../parts/view";
import type { Item } from "../tree/display_tree";
import { MIXED, NONE } from "../wire/plan_state";
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
  /** "32 blocks alike", or "". */
  alike: string;
}

export function describe(view: View, state: MapState, id: number): Description {
  const { display } = state;
  const { tree } = display;
  const item = display.item(id);
  const owner = item.node >= 0 ? tree.sharedWith.get(item.node) : undefined;
  const own = display.nodesOf(id).reduce((sum, node) => sum + (tree.state.own[node] ?? 0), 0);
  const norm = normOf(display, view.page.paint?.values ?? null, id);
  const several = item.members?.length ?? item.fold?.blocks.length ?? 1;
  // Of a list of nothing but alike blocks one wants to know the blocks.
  const block = item.fold ? display.base.item(item.fold.blocks[0] as number).node : item.node;
  const fact = tree.state.notes.get(block);
  const parts = block < 0 ? `${item.children.length} modules` : tree.className(block) + (fact ? ` (${fact})` : "");
  const each = several > 1 ? `, ${count(item.params / several)} each` : "";
  return {
    path: display.pathOf(id),
    className: parts,
    params: own > 0 && own !== item.params ? `${count(item.params)} in total, ${count(own)} of its own` : `${count(item.params)} parameters${each}`,
    tuning: [TUNING_NAMES[tuningOf(display, view.page.plan, id)] ?? "", shares(view, state, id)].filter(Boolean).join(": "),
    alike: alike(item),
    tied: owner === undefined ? "" : `shared with ${tree.path(owner)}`,
    norm: Number.isNaN(norm) ? "" : `gradient norm ${measure(norm)} at step ${view.page.paint?.step ?? 0}`,
  };
}

/** "32 blocks alike", "in 32 blocks"; "" for a module by itself. */
export function alike(item: Item): string {
  const { members, fold } = item;
  if (!fold) return members ? `in ${members.length} blocks` : "";
  const lists = (members?.length ?? 1) / (members === fold.blocks ? fold.times : 1);
  return `${fold.times} blocks alike${lists > 1 ? ` in each of ${lists}` : ""}`;
}

/** Of a list whose blocks train differently: "30 of 32 frozen, 2 of 32 full". */
function shares(view: View, state: MapState, id: number): string {
  const { plan } = view.page;
  const nodes = plan && state.display.blockNodes(id);
  if (!nodes || tuningOf(state.display, plan, id) !== MIXED) return "";
  const counts = new Map<number, number>();
  for (const node of nodes) counts.set(plan.tuning[node] ?? NONE, (counts.get(plan.tuning[node] ?? NONE) ?? 0) + 1);
  return [...counts].map(([code, n]) => `${n} of ${nodes.length} ${TUNING_NAMES[code]}`).join(", ");
}

/** One sentence for a screen reader. */
export function sentence(view: View, state: MapState, id: number): string {
  const d = describe(view, state, id);
  const item = state.display.item(id);
  const inside = item.children.length ? `${item.children.length} inside` : "";
  const selected = state.selected.has(id) ? "selected" : "";
  return [item.label, d.alike, d.className, d.params, d.tuning, d.tied, d.norm, inside, selected].filter(Boolean).join(", ");
}
