/**
 * What the map and the list show: components first, whichever wrapper modules they lie in, then the modules of each. A
 * component inside another one (a projector inside a vision tower) is taken out of it and stands beside it. Chains of single
 * children are one item ("encoder.layers"). Sizes on the screen are `map/layout.ts`.
 */
import type { ModelTree } from "./model_tree";

export interface Item {
  id: number;
  parent: number;
  depth: number;
  /** The node of the model, -1 for the whole model and for a component made of several modules. */
  node: number;
  /** Index of the component, -1 for the whole model and for what no component owns. */
  component: number;
  label: string;
  /** What a request calls it: a component's name or a path. */
  target: string;
  isComponent: boolean;
  /** Parameters of it that are not another component's. */
  params: number;
  bytes: number;
  children: number[];
  /** The alike items that it stands for, when it is several; the first represents them. */
  members?: number[];
  /** What requests call it where one target is not enough. */
  targets?: string[];
  /** Of a folded list, or of a group in one. */
  fold?: Fold;
}

/** Items by number: what layouts and outlines need to know of a tree, folded or not. */
export interface Items {
  readonly root: Item;
  item(id: number): Item;
}

export interface Fold {
  /** The item of the list that it is a part of. */
  list: number;
  /** Blocks of one list. */
  times: number;
  /** Every index, as "0–2, 4–7". */
  precise: string;
  /** Their items. */
  blocks: number[];
}

export class DisplayTree {
  readonly items: Item[] = [];
  /** Item that shows a node, for nodes that are shown. */
  readonly itemOfNode = new Map<number, number>();

  constructor(readonly tree: ModelTree) {
    const { components } = tree.state;
    const tops = new Set(components.flatMap((c) => c.nodes));
    const taken = takenOut(tree, tops);
    const root = this.#add({
      parent: -1,
      node: -1,
      component: -1,
      label: tree.state.title,
      target: "",
      isComponent: false,
      params: tree.state.total_params,
      bytes: tree.state.bytes[0] ?? 0,
    });
    components.forEach((component, index) => {
      const single = component.nodes.length === 1;
      const node = single ? (component.nodes[0] as number) : -1;
      const bytes = component.nodes.reduce(
        (sum, n) => sum + (tree.state.bytes[n] ?? 0) - (taken.bytes[n] as number),
        0,
      );
      const item = this.#add({
        parent: root,
        node,
        component: index,
        label: component.label,
        target: component.name,
        isComponent: true,
        params: component.params,
        bytes,
      });
      if (single) this.#below(item, node, tops, taken);
      else for (const n of component.nodes) this.#module(item, n, index, tops, taken);
    });
    this.#rest(root, tops, taken);
  }

  get root(): Item {
    return this.items[0] as Item;
  }

  item(id: number): Item {
    return this.items[id] ?? this.root;
  }

  /** From below the whole model to the item itself. */
  trail(id: number): Item[] {
    const trail: Item[] = [];
    for (let i = id; i > 0; i = this.item(i).parent) trail.unshift(this.item(i));
    return trail;
  }

  /** The dotted path of the module, or the component's name. */
  pathOf(id: number): string {
    const item = this.item(id);
    return item.node >= 0 ? this.tree.path(item.node) : item.label;
  }

  /** The item of a component's name. */
  component(name: string): Item | undefined {
    return this.root.children.map((id) => this.item(id)).find((item) => item.isComponent && item.target === name);
  }

  #add(item: Omit<Item, "id" | "children" | "depth">): number {
    const id = this.items.length;
    const above = this.items[item.parent];
    this.items.push({ ...item, id, depth: above ? above.depth + 1 : 0, children: [] });
    above?.children.push(id);
    if (item.node >= 0 && !this.itemOfNode.has(item.node)) this.itemOfNode.set(item.node, id);
    return id;
  }

  /** The module, a chain of only children folded into one item, and what is below. */
  #module(parent: number, node: number, component: number, tops: ReadonlySet<number>, taken: Taken): void {
    let label = this.tree.state.names[node] ?? "";
    const first = node;
    for (let only = this.#single(node, tops, taken); only >= 0; only = this.#single(node, tops, taken)) {
      node = only;
      label = `${label}.${this.tree.state.names[node] ?? ""}`;
    }
    const { bytes } = this.tree.state;
    const params = this.tree.params(node) - (taken.params[node] as number);
    const item = this.#add({
      parent,
      node,
      component,
      label,
      target: this.tree.path(node),
      isComponent: false,
      params,
      bytes: (bytes[node] ?? 0) - (taken.bytes[node] as number),
    });
    for (let n = first; n !== node; n = this.#single(n, tops, taken)) this.itemOfNode.set(n, item);
    this.#below(item, node, tops, taken);
  }

  #below(item: number, node: number, tops: ReadonlySet<number>, taken: Taken): void {
    // A component whose one module wraps all the rest shows that rest directly.
    for (let only = this.#single(node, tops, taken); only >= 0; only = this.#single(node, tops, taken))
      this.itemOfNode.set((node = only), item);
    for (const child of this.#shown(node, tops, taken))
      this.#module(item, child, this.item(item).component, tops, taken);
  }

  /** Children with parameters of their own component, or that share a tensor with another module. */
  #shown(node: number, tops: ReadonlySet<number>, taken: Taken): number[] {
    const { params, sharedWith } = { params: this.tree.state.params, sharedWith: this.tree.sharedWith };
    return this.tree
      .children(node)
      .filter((c) => !tops.has(c) && ((params[c] ?? 0) - (taken.params[c] as number) > 0 || sharedWith.has(c)));
  }

  /** The one module below a node, when it holds all that the node does; else -1. */
  #single(node: number, tops: ReadonlySet<number>, taken: Taken): number {
    const shown = this.#shown(node, tops, taken);
    const only = shown[0] ?? -1;
    if (shown.length !== 1 || this.tree.isLeaf(only)) return -1;
    const same =
      this.tree.params(node) - (taken.params[node] as number) ===
      this.tree.params(only) - (taken.params[only] as number);
    return same ? only : -1;
  }

  /** What no component owns still has a place: topmost modules that hold such parameters. */
  #rest(root: number, tops: ReadonlySet<number>, taken: Taken): void {
    const visit = (node: number): void => {
      if (tops.has(node) || this.tree.params(node) - (taken.params[node] as number) <= 0) return;
      if (this.tree.isLeaf(node) || (node > 0 && (taken.params[node] as number) === 0))
        this.#module(root, node, -1, tops, taken);
      else this.tree.children(node).forEach(visit);
    };
    if (this.tree.size) visit(0);
  }
}

interface Taken {
  params: Float64Array;
  bytes: Float64Array;
}

/** Per node: how much of it belongs to components that start strictly below it. */
function takenOut(tree: ModelTree, tops: ReadonlySet<number>): Taken {
  const { params, bytes, parent } = tree.state;
  const taken = { params: new Float64Array(tree.size), bytes: new Float64Array(tree.size) };
  for (let i = tree.size - 1; i > 0; i--) {
    const p = parent[i] as number;
    const top = tops.has(i);
    taken.params[p] = (taken.params[p] as number) + (top ? (params[i] ?? 0) : (taken.params[i] as number));
    taken.bytes[p] = (taken.bytes[p] as number) + (top ? (bytes[i] ?? 0) : (taken.bytes[i] as number));
  }
  return taken;
}
