/**
 * The lists of repeated blocks among the items of a display tree, with the groups of alike blocks that Python found in them.
 * Read once per tree; a group whose items do not match one by one is not folded, whatever the state says. What is folded at
 * a moment is `folded_tree.ts`.
 */
import type { DisplayTree } from "./display_tree";
import { numbered } from "./fold_text";

/** The blocks of one list, by their place among the children of its item. */
export interface List {
  /** The item whose children they are. */
  item: number;
  /** Group of each child, -1 for a block like no other and for what is no block. */
  group: Int32Array;
  /** Place of each child among the module children of the node, as a slice counts; -1 where none. */
  position: Int32Array;
  /** First node of each child: the block itself, also where the item shows a chain of single modules from there. */
  start: Int32Array;
  /** Module children of the node. */
  count: number;
}

export function lists(display: DisplayTree): Map<number, List> {
  const { tree } = display;
  const found = new Map<number, List>();
  const rows = new Map<number, number[][]>();
  for (const [holder = -1, ...numbers] of tree.state.folds) rows.set(holder, [...(rows.get(holder) ?? []), numbers]);
  for (const [holder, groups] of rows) {
    const item = display.itemOfNode.get(holder);
    if (item === undefined) continue;
    const blocks = tree.children(holder).filter((node) => !tree.state.kind[node]);
    const { children } = display.item(item);
    const list: List = {
      item,
      group: new Int32Array(children.length).fill(-1),
      position: new Int32Array(children.length).fill(-1),
      start: new Int32Array(children.length).fill(-1),
      count: blocks.length,
    };
    const places = new Map(children.map((id, k) => [id, k]));
    blocks.forEach((node, position) => {
      const k = places.get(display.itemOfNode.get(node) ?? -1);
      if (k === undefined) return;
      list.position[k] = position;
      list.start[k] = node;
    });
    const at = new Map(Array.from(list.position, (position, k) => [position, k] as const));
    let next = 0;
    for (const numbers of groups) {
      const members = positions(numbers, blocks.length)
        .map((position) => at.get(position) ?? -1)
        .filter((k) => k >= 0 && numbered(tree.state.names[list.start[k] as number] ?? ""));
      const [first = -1] = members;
      const same = members.filter((k) => alike(display, list, children, first, k));
      if (same.length < 2) continue;
      for (const k of same) list.group[k] = next;
      next++;
    }
    if (next) found.set(item, list);
  }
  return found;
}

function positions(numbers: readonly number[], count: number): number[] {
  const found = new Set<number>();
  for (let i = 0; i + 2 < numbers.length; i += 3) {
    const [first, stop, step] = numbers.slice(i, i + 3) as [number, number, number];
    if (step > 0) for (let p = Math.max(0, first); p < Math.min(stop, count); p += step) found.add(p);
  }
  return [...found].sort((a, b) => a - b);
}

/** Whether two blocks have the same items at the same places. */
function alike(display: DisplayTree, list: List, children: readonly number[], a: number, b: number): boolean {
  const { tree } = display;
  const [from, to] = [list.start[a] as number, list.start[b] as number];
  const name = (id: number, block: number): string =>
    display.item(id).label.slice((tree.state.names[block] ?? "").length);
  const [x = 0, y = 0] = [children[a], children[b]];
  if ((tree.end[from] as number) - from !== (tree.end[to] as number) - to || name(x, from) !== name(y, to))
    return false;
  const same = (i: number, j: number, top: boolean): boolean => {
    const [p, q] = [display.item(i), display.item(j)];
    return (
      p.node - from === q.node - to &&
      (top || p.label === q.label) &&
      p.params === q.params &&
      p.children.length === q.children.length &&
      p.children.every((child, k) => same(child, q.children[k] as number, false))
    );
  };
  return same(x, y, true);
}
