/**
 * The keys of the list, as ARIA's treegrid pattern has them, with F, L, T and X on top. A folded row opens in two steps: what
 * a block is made of, then the single blocks; the left arrow goes the same way back.
 */
import { onActionKey } from "./actions";
import { ROW_PX } from "./outline";
import type { TreeGrid } from "./tree_grid";

/** Acts on a key; false when it is not one of the list's. */
export function gridKey(grid: TreeGrid, event: KeyboardEvent): boolean {
  const { rows, state, view } = grid;
  const index = rows.findIndex((row) => row.id === state.focus);
  const row = rows[index];
  const page = Math.max(1, Math.floor(grid.element.clientHeight / ROW_PX) - 2);
  const go = (to: number): true => {
    const next = rows[Math.max(0, Math.min(rows.length - 1, to))];
    if (!next) return true;
    if (event.shiftKey) state.select([...state.selected, state.focus, next.id].filter((id) => id > 0));
    else if (!event.ctrlKey && !event.metaKey) state.select([next.id]);
    state.focusOn(next.id);
    grid.scrollTo(rows.indexOf(next));
    return true;
  };
  switch (event.key) {
    case "ArrowDown":
      return go(index + 1);
    case "ArrowUp":
      return go(index - 1);
    case "PageDown":
      return go(index + page);
    case "PageUp":
      return go(index - page);
    case "Home":
      return go(0);
    case "End":
      return go(rows.length - 1);
    case "ArrowRight":
      if (row?.open === false) grid.toggle(row.id, true);
      else if (row && grid.unfold(row.id)) return true;
      else if (row?.open) go(index + 1);
      return true;
    case "ArrowLeft":
      if (row && state.openList(row.id) === row.id) state.refold(row.id);
      else if (row?.open) grid.toggle(row.id, false);
      else if (row) go(rows.findIndex((r) => r.id === state.display.item(row.id).parent));
      return true;
    case "Enter":
      if (row && !grid.unfold(row.id) && row.open !== null) grid.toggle(row.id);
      return true;
    case " ":
      if (row) state.toggle(row.id);
      return true;
    case "Escape":
      state.select([]);
      return true;
    default:
      return onActionKey(view, state, event);
  }
}
