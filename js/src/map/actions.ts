/** What a person does to modules, by key or by button: set or clear a tuning, undo. Turns items into the targets of requests. */
import { t } from "../language/words";
import type { View } from "../parts/view";
import type { TuningEdit } from "../wire/plan_state";
import { FoldedTree } from "../tree/folded_tree";
import type { MapState } from "./map_state";

const MANY = 8; // more targets than that are told as slices, however they are shown

export const KEY_TUNINGS: Record<string, TuningEdit> = {
  f: "frozen",
  l: "lora",
  t: "full",
  x: "inherit",
  i: "inherit",
};
export const TUNING_WORDS: Record<TuningEdit, () => string> = {
  frozen: () => t("frozen"),
  lora: () => "LoRA",
  full: () => t("full"),
  inherit: () => t("as its component"),
};

/** Requests a tuning for the selection, or for the focused item. */
export function setTuning(view: View, state: MapState, tuning: TuningEdit): void {
  const ids = state.acting;
  if (!ids.length) return;
  const targets = targetsOf(state, ids);
  void view.page.request("set_tuning", { targets, tuning });
  const what =
    targets.length === 1 ? state.display.item(ids[0] as number).label : t("{count} modules", { count: targets.length });
  view.announce(`${what}: ${TUNING_WORDS[tuning]()}`);
}

/** What requests call the items: one target for a fold, and one for several blocks of one list. */
export function targetsOf(state: MapState, items: readonly number[]): string[] {
  const [display, ids] = items.length > MANY ? folded(state.display, items) : [state.display, items];
  const targets = new Set<string>();
  const blocks = new Map<number, number[]>();
  for (const id of ids) {
    const item = display.item(id);
    const name = (text: string, nodes: readonly number[]): void =>
      void (targets.add(text), display.tree.named.set(text, nodes));
    if (item.targets) for (const target of item.targets) targets.add(target);
    else if (item.members) name(item.target, display.nodesOf(id));
    else if (display.lists.has(display.base.item(id).parent))
      blocks.set(item.parent, [...(blocks.get(item.parent) ?? []), id]);
    else targets.add(item.target);
  }
  for (const [parent, members] of blocks) {
    const list = display.lists.get(parent);
    const slice = list && members.length > 1 ? display.sliceOf(list, members) : null;
    if (slice === null) for (const id of members) targets.add(display.item(id).target);
    else {
      targets.add(slice);
      display.tree.named.set(
        slice,
        members.map((id) => display.item(id).node),
      );
    }
  }
  return [...targets];
}

/** The same modules in a tree that is folded for them: thousands of layers shown one by one are still a few slices. */
function folded(shown: FoldedTree, ids: readonly number[]): [FoldedTree, number[]] {
  const single = ids.flatMap((id) => shown.item(id).members ?? [id]);
  const display = new FoldedTree(shown.base);
  display.arrange({ on: true, opened: new Set(), tuning: null, matches: new Set(single) });
  return [display, display.gather(single)];
}

/** F, L, T, X, I and Ctrl+Z wherever the map or the list has the focus. True when the key was one of them. */
export function onActionKey(view: View, state: MapState, event: KeyboardEvent): boolean {
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
    void view.page.request(key === "y" || event.shiftKey ? "redo" : "undo");
    return true;
  }
  const tuning = event.ctrlKey || event.metaKey || event.altKey ? undefined : KEY_TUNINGS[key];
  if (!tuning) return false;
  setTuning(view, state, tuning);
  return true;
}
