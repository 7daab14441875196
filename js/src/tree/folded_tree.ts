/**
 * A display tree as one view shows it: blocks that are alike, train alike and are found alike are one item, whose parts are
 * the sums of theirs. Items of the display tree keep their numbers; items that stand for several come after them and keep
 * theirs too, so that a selection outlives a change of the folding. Which blocks are alike is `lists.ts`.
 */
import { t } from "../language/words";
import type { DisplayTree, Item } from "./display_tree";
import { canSlice, indexText, numbered, preciseLabel, shortLabel } from "./fold_text";
import { lists, type List } from "./lists";
import type { ModelTree } from "./model_tree";

/** What decides how the lists are folded. */
export interface Folding {
  on: boolean;
  /** Lists, by their item, that are shown block by block all the same. */
  opened: ReadonlySet<number>;
  tuning: Uint8Array | null;
  /** Items that a search finds. */
  matches: ReadonlySet<number> | null;
}

export class FoldedTree {
  readonly tree: ModelTree;
  readonly lists: ReadonlyMap<number, List>;
  #made: Item[] = [];
  #ids = new Map<string, number>();
  #changed = new Map<number, Item>();
  #shownBy = new Map<number, number>();
  #holds: Uint8Array;
  #classes = new Map<number, Float64Array>();
  #last: Float64Array | null = null;
  #leaves: number[] | null = null;

  constructor(readonly base: DisplayTree) {
    this.tree = base.tree;
    this.lists = lists(base);
    this.#holds = new Uint8Array(base.items.length);
    for (const id of this.lists.keys())
      for (let i = id; i >= 0 && !this.#holds[i]; i = base.item(i).parent) this.#holds[i] = 1;
  }

  get root(): Item {
    return this.item(0);
  }

  item(id: number): Item {
    return this.#changed.get(id) ?? this.#made[id - this.base.items.length] ?? this.base.item(id);
  }

  /** From below the whole model to the item itself. */
  trail(id: number): Item[] {
    const trail: Item[] = [];
    for (let i = id; i > 0; i = this.item(i).parent) trail.unshift(this.item(i));
    return trail;
  }

  /** The dotted path of the module, the slice of several, or the component's name. */
  pathOf(id: number): string {
    const { members, target, targets } = this.item(id);
    if (!members) return this.base.pathOf(id);
    return targets && targets.length > 1
      ? t("{first} and {count} more", { first: targets[0] ?? "", count: targets.length - 1 })
      : target;
  }

  component(name: string): Item | undefined {
    const item = this.base.component(name);
    return item && this.item(item.id);
  }

  /** Items without anything below, as they are shown now. */
  get leaves(): readonly number[] {
    if (this.#leaves) return this.#leaves;
    const found: number[] = [];
    const visit = (id: number): void => {
      const { children } = this.item(id);
      if (children.length) children.forEach(visit);
      else found.push(id);
    };
    visit(0);
    return (this.#leaves = found);
  }

  /** The nodes that an item stands for. */
  nodesOf(id: number): number[] {
    const item = this.item(id);
    return item.members ? item.members.map((m) => this.base.item(m).node) : item.node >= 0 ? [item.node] : [];
  }

  /** The item that shows an item now: itself, or the fold that it has become part of. */
  shownOf(id: number): number {
    const first = this.#made[id - this.base.items.length]?.members?.[0] ?? id;
    return this.#shownBy.get(first) ?? first;
  }

  /** The same modules in as few items as there are now: a fold in the place of all its blocks. */
  gather(ids: Iterable<number>): number[] {
    const wanted = new Set(ids);
    const found = new Set<number>();
    const whole = new Map<string, boolean>();
    for (const id of wanted) {
      const by = this.#shownBy.get(id);
      if (by === undefined) {
        found.add(id);
        continue;
      }
      const { members = [], fold } = this.item(by);
      // A list inside folded blocks stands for the lists and for their blocks.
      const isBlock = fold !== undefined && this.base.item(id).depth > this.base.item(fold.list).depth;
      const key = `${by}${isBlock ? "b" : ""}`;
      let all = whole.get(key);
      if (all === undefined) whole.set(key, (all = (isBlock ? fold.blocks : members).every((m) => wanted.has(m))));
      found.add(all ? by : id);
    }
    return [...found];
  }

  /** Folds anew; false when everything is shown as before. */
  arrange({ on, opened, tuning, matches }: Folding): boolean {
    const marks = new Uint8Array(this.tree.size);
    if (tuning) for (let n = 0; n < marks.length; n++) marks[n] = (tuning[n] ?? 0) + 1;
    for (const id of matches ?? []) {
      const { node } = this.base.item(id);
      if (node >= 0) marks[node] = (marks[node] as number) | 16;
    }
    const partition: number[] = [];
    this.#classes.clear();
    for (const list of this.lists.values()) {
      const folded = on && !opened.has(list.item);
      const classes = Float64Array.from(list.group, (group, k) =>
        folded && group >= 0
          ? hash(marks, list.start[k] as number, this.tree.end[list.start[k] as number] as number, group)
          : -1,
      );
      if (folded) this.#classes.set(list.item, classes);
      // Only which blocks go together matters, not how they are marked.
      const seen = new Map<number, number>();
      for (const c of classes) partition.push(c < 0 ? -1 : (seen.get(c) ?? (seen.set(c, seen.size), seen.size - 1)));
    }
    const now = Float64Array.from(partition);
    const before = this.#last;
    this.#last = now;
    if (before && before.length === now.length && before.every((c, i) => c === now[i])) return false;
    this.#changed.clear();
    this.#shownBy.clear();
    this.#leaves = null;
    this.#single(0);
    return true;
  }

  /** Blocks of a list by how they train, as codes; null when the item is no list. */
  blockNodes(id: number): number[] | null {
    const list = this.lists.get(this.item(id).members?.[0] ?? id);
    return list ? Array.from(list.start).filter((node, k) => node >= 0 && (list.group[k] as number) >= 0) : null;
  }

  /** The one slice that names several blocks of a list. */
  sliceOf(list: List, ids: readonly number[]): string | null {
    const holder = this.#text(list.item);
    const places = new Map(this.base.item(list.item).children.map((id, k) => [id, list.position[k] as number]));
    const positions = ids.map((id) => places.get(id) ?? -1).sort((a, b) => a - b);
    return holder === null || positions.some((p) => p < 0) || ids.some((id) => !this.#isBlock(id))
      ? null
      : `${holder}[${indexText(positions, list.count)}]`;
  }

  #isBlock(id: number): boolean {
    return numbered(this.base.item(id).label) !== null;
  }

  /** What a slice begins with; null where none may. */
  #text(id: number): string | null {
    const list = this.lists.get(id);
    const at = list ? list.start.find((node) => node >= 0) : undefined;
    const node = at === undefined ? this.base.item(id).node : (this.tree.state.parent[at] as number);
    const path = node >= 0 ? this.tree.path(node) : "";
    return canSlice(
      path,
      this.tree.state.components.map((c) => c.name),
    )
      ? path
      : null;
  }

  #single(id: number): void {
    if (!this.#holds[id]) return;
    const item = this.base.item(id);
    this.#changed.set(id, this.#filled({ ...item }, [id], String(id), this.#text(id)));
  }

  /** Gives an item its children, for the base items that it stands for. */
  #filled(item: Item, members: readonly number[], key: string, text: string | null): Item {
    const own = this.base.item(members[0] as number);
    const list = this.lists.get(own.id);
    const classes = this.#classes.get(own.id);
    if (!list || !classes) {
      item.children = own.children.map((child, k) =>
        this.#entry(item, this.#at(members, [k]), `${key}/${k}`, this.#inside(text, child, own), undefined),
      );
      return item;
    }
    const groups = new Map<string, number[]>();
    classes.forEach((c, k) => {
      const name = c < 0 ? `k${k}` : `c${c}`;
      groups.set(name, [...(groups.get(name) ?? []), k]);
    });
    const sums = own.children.reduce((sum, child) => sum + this.base.item(child).params, 0);
    const parts = [...groups.values()];
    const [all = []] = parts;
    if (parts.length === 1 && all.length > 1 && !own.isComponent && own.id > 0 && sums === own.params) {
      const { label, precise, slice } = this.#name(list, all, text);
      const blocks = this.#at(members, all);
      for (const block of blocks) this.#shownBy.set(block, item.id);
      Object.assign(item, {
        label: `${item.label} ${label}`,
        fold: { list: own.id, times: all.length, precise, blocks },
      });
      const first = this.base.item(blocks[0] as number);
      item.children = first.children.map((child, k) =>
        this.#entry(item, this.#at(blocks, [k]), `${key}[${slice}]/${k}`, this.#inside(slice, child, first), undefined),
      );
      return item;
    }
    item.children = parts.map((ks) => {
      if (ks.length === 1)
        return this.#entry(
          item,
          this.#at(members, ks),
          `${key}/${ks[0]}`,
          this.#inside(text, own.children[ks[0] as number] as number, own),
          undefined,
        );
      const { label, precise, slice } = this.#name(list, ks, text);
      return this.#entry(item, this.#at(members, ks), `${key}[${indexText(ks, Infinity)}]`, slice, {
        label,
        precise,
        list: own.id,
        times: ks.length,
      });
    });
    return item;
  }

  /** One child: the base item itself, or an item for several. */
  #entry(
    parent: Item,
    members: number[],
    key: string,
    text: string | null,
    fold: { label: string; precise: string; list: number; times: number } | undefined,
  ): number {
    const own = this.base.item(members[0] as number);
    if (members.length === 1) {
      this.#single(own.id);
      return own.id;
    }
    let id = this.#ids.get(key);
    if (id === undefined) this.#ids.set(key, (id = this.base.items.length + this.#made.length));
    const paths = text === null ? members.map((m) => this.base.item(m).target) : undefined;
    const sum = (of: "params" | "bytes"): number => members.reduce((total, m) => total + this.base.item(m)[of], 0);
    const item: Item = {
      ...own,
      id,
      parent: parent.id,
      depth: parent.depth + 1,
      label: fold?.label ?? own.label,
      target: text ?? own.target,
      params: sum("params"),
      bytes: sum("bytes"),
      children: [],
      members,
    };
    if (paths) item.targets = paths;
    if (fold) item.fold = { list: fold.list, times: fold.times, precise: fold.precise, blocks: members };
    this.#made[id - this.base.items.length] = item;
    for (const m of members) this.#shownBy.set(m, id);
    this.#filled(item, members, key, text);
    return id;
  }

  /** The children at some places of each of several alike items. */
  #at(members: readonly number[], ks: readonly number[]): number[] {
    return members.flatMap((m) => ks.map((k) => this.base.item(m).children[k] as number));
  }

  /** The text of a child below the text of its parent. */
  #inside(text: string | null, child: number, parent: Item): string | null {
    if (text === null) return null;
    const [path, above] = [this.base.item(child).target, parent.isComponent || parent.node < 0 ? "" : parent.target];
    if (above && path.startsWith(`${above}.`))
      return /[[\]]/.test(path.slice(above.length)) ? null : text + path.slice(above.length);
    return canSlice(
      path,
      this.tree.state.components.map((c) => c.name),
    )
      ? path
      : null;
  }

  #name(
    list: List,
    ks: readonly number[],
    text: string | null,
  ): { label: string; precise: string; slice: string | null } {
    const { names } = this.tree.state;
    const name = (k: number): string => names[list.start[k] as number] ?? "";
    const first = ks[0] as number;
    const rest = this.base.item(this.base.item(list.item).children[first] as number).label.slice(name(first).length);
    const [prefix] = numbered(name(first)) ?? [""];
    const indices = ks.map((k) => numbered(name(k))?.[1] ?? 0).sort((a, b) => a - b);
    const positions = ks.map((k) => list.position[k] as number);
    const slice = text === null || /[[\]]/.test(rest) ? null : `${text}[${indexText(positions, list.count)}]${rest}`;
    return {
      label: shortLabel(indices, prefix) + (rest ? ` ${rest.slice(1)}` : ""),
      precise: preciseLabel(indices, prefix),
      slice,
    };
  }
}

/** Of the marks of a block and its group: two 26-bit hashes in one number, so that equal means equal for all that is ever seen. */
function hash(marks: Uint8Array, from: number, to: number, group: number): number {
  let [a, b] = [0x811c9dc5 ^ group, 0x9e3779b9 ^ group];
  for (let i = from; i < to; i++) {
    a = Math.imul(a ^ (marks[i] as number), 0x01000193);
    b = Math.imul(b ^ (marks[i] as number), 0x85ebca6b) ^ (b >>> 13);
  }
  return ((a >>> 6) & 0x3ffffff) * 0x4000000 + ((b >>> 6) & 0x3ffffff);
}
