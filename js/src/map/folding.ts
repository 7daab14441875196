/** The state of a view's map on the tree that the page shows, and when its lists are folded anew: with each plan. */
import type { View } from "../parts/view";
import type { DisplayTree } from "../tree/display_tree";
import { FoldedTree } from "../tree/folded_tree";
import { MapState } from "./map_state";

export function mapState(view: View, display: DisplayTree): MapState {
  const { page, signal } = view;
  const state = new MapState(new FoldedTree(display));
  if (!page.folding) state.fold(false);
  if (view.left.map) state.resume(view.left.map);
  view.left.map = state;
  const retune = (): void => state.retune(page.plan?.tuning ?? null);
  retune();
  page.on(["plan"], retune, signal);
  // Another view of the widget, and this one when it is drawn again, begin as this one was left.
  state.on(["fold"], () => (page.folding = state.folding), signal);
  return state;
}
