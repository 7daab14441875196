/** What a person does to modules, by key or by button: set or clear a tuning, undo. Turns items into the targets of wishes. */
import type { View } from "../parts/view";
import type { WishedTuning } from "../wire/plan_state";
import type { MapState } from "./map_state";

export const KEY_TUNINGS: Record<string, WishedTuning> = { f: "frozen", l: "lora", t: "full", x: "inherit", i: "inherit" };
export const TUNING_WORDS: Record<WishedTuning, string> = { frozen: "frozen", lora: "LoRA", full: "full", inherit: "as its component" };

/** Wishes a tuning for the selection, or for the focused item. */
export function setTuning(view: View, state: MapState, tuning: WishedTuning): void {
  const ids = state.acting;
  if (!ids.length) return;
  const targets = [...new Set(ids.map((id) => state.display.item(id).target))];
  void view.page.wish("set_tuning", { targets, tuning });
  const what = targets.length === 1 ? state.display.item(ids[0] as number).label : `${targets.length} modules`;
  view.announce(`${what}: ${TUNING_WORDS[tuning]}`);
}

/** F, L, T, X, I and Ctrl+Z wherever the map or the list has the focus. True when the key was one of them. */
export function onActionKey(view: View, state: MapState, event: KeyboardEvent): boolean {
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
    void view.page.wish(key === "y" || event.shiftKey ? "redo" : "undo");
    return true;
  }
  const tuning = event.ctrlKey || event.metaKey || event.altKey ? undefined : KEY_TUNINGS[key];
  if (!tuning) return false;
  setTuning(view, state, tuning);
  return true;
}
