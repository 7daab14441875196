/** Which rows the list shows: the items whose parents are open, or the matches of a search with what is above them. Pure. */
import type { Items } from "../tree/display_tree";

/** Height of a row. */
export const ROW_PX = 24;

export interface Row {
  id: number;
  level: number;
  /** Place among its brothers, from 1, and how many they are. */
  position: number;
  brothers: number;
  open: boolean | null;
}

export function outline(display: Items, open: ReadonlySet<number>, matches: ReadonlySet<number> | null): Row[] {
  const wanted = matches && withAncestors(display, matches);
  const rows: Row[] = [];
  const visit = (ids: readonly number[], level: number): void => {
    const shown = wanted ? ids.filter((id) => wanted.has(id)) : ids;
    shown.forEach((id, i) => {
      const { children } = display.item(id);
      const isOpen = wanted
        ? children.some((child) => wanted.has(child)) && (!matches?.has(id) || open.has(id))
        : open.has(id);
      rows.push({ id, level, position: i + 1, brothers: shown.length, open: children.length ? isOpen : null });
      if (isOpen) visit(children, level + 1);
    });
  };
  visit(display.root.children, 1);
  return rows;
}

function withAncestors(display: Items, matches: ReadonlySet<number>): Set<number> {
  const wanted = new Set<number>();
  for (const match of matches)
    for (let id = match; id > 0 && !wanted.has(id); id = display.item(id).parent) wanted.add(id);
  return wanted;
}
