/** An item in words, for the tooltip, the screen reader and the card of a selection. */
import { count, measure } from "../format";
import { t } from "../language/words";
import type { View } from "../parts/view";
import type { Item } from "../tree/display_tree";
import { MIXED, NONE } from "../wire/plan_state";
import type { MapState } from "./map_state";
import { normOf, tuningOf } from "./tile_style";

export const TUNING_NAMES: readonly (() => string)[] = [
  () => t("frozen"),
  () => "LoRA",
  () => t("full"),
  () => t("mixed"),
  () => t("no parameters"),
];

export interface Description {
  path: string;
  className: string;
  params: string;
  /** The same without the word. */
  amount: string;
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
  const parts =
    block < 0
      ? t("{count} modules", { count: item.children.length })
      : tree.className(block) + (fact ? ` (${fact})` : "");
  const counts = { count: count(item.params), each: count(item.params / several), own: count(own) };
  const inner = own > 0 && own !== item.params ? t("{count} in total, {own} of its own", counts) : "";
  return {
    path: display.pathOf(id),
    className: parts,
    params: inner || (several > 1 ? t("{count} parameters, {each} each", counts) : t("{count} parameters", counts)),
    amount: inner || (several > 1 ? t("{count}, {each} each", counts) : counts.count),
    tuning: [TUNING_NAMES[tuningOf(display, view.page.plan, id)]?.() ?? "", shares(view, state, id)]
      .filter(Boolean)
      .join(": "),
    alike: alike(item),
    tied: owner === undefined ? "" : t("shared with {path}", { path: tree.path(owner) }),
    norm: Number.isNaN(norm)
      ? ""
      : t("gradient norm {value} at step {step}", { value: measure(norm), step: view.page.paint?.step ?? 0 }),
  };
}

/** "32 blocks alike", "in 32 blocks"; "" for a module by itself. */
export function alike(item: Item): string {
  const { members, fold } = item;
  if (!fold) return members ? t("in {count} blocks", { count: members.length }) : "";
  const lists = (members?.length ?? 1) / (members === fold.blocks ? fold.times : 1);
  return lists > 1
    ? t("{count} blocks alike in each of {lists}", { count: fold.times, lists })
    : t("{count} blocks alike", { count: fold.times });
}

/** Of a list whose blocks train differently: "30 of 32 frozen, 2 of 32 full". */
function shares(view: View, state: MapState, id: number): string {
  const { plan } = view.page;
  const nodes = plan && state.display.blockNodes(id);
  if (!nodes || tuningOf(state.display, plan, id) !== MIXED) return "";
  const counts = new Map<number, number>();
  for (const node of nodes) counts.set(plan.tuning[node] ?? NONE, (counts.get(plan.tuning[node] ?? NONE) ?? 0) + 1);
  return [...counts]
    .map(([code, n]) => t("{n} of {all} {tuning}", { n, all: nodes.length, tuning: TUNING_NAMES[code]?.() ?? "" }))
    .join(", ");
}

/** One sentence for a screen reader. */
export function sentence(view: View, state: MapState, id: number): string {
  const d = describe(view, state, id);
  const item = state.display.item(id);
  const inside = item.children.length ? t("{count} inside", { count: item.children.length }) : "";
  const selected = state.selected.has(id) ? t("selected") : "";
  return [item.label, d.alike, d.className, d.params, d.tuning, d.tied, d.norm, inside, selected]
    .filter(Boolean)
    .join(", ");
}
