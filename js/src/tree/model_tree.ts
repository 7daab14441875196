/**
 * The model's modules as columns: children, paths and subtrees of `tree_state`, computed once. Nodes are numbers in
 * pre-order, so a subtree is the range [node, end[node]). Which component is drawn where is `display_tree.ts`.
 */
import type { TreeState } from "../wire/tree_state";

export class ModelTree {
  readonly size: number;
  /** First node after the subtree of each node. */
  readonly end: Int32Array;
  /** Alias node -> the node whose tensor it shares. */
  readonly sharedWith: ReadonlyMap<number, number>;
  /** What the page calls several nodes at once, in requests of its own. */
  readonly named = new Map<string, readonly number[]>();
  #children: number[][] | null = null;
  #paths: (string | undefined)[];
  #byPath: Map<string, number> | null = null;

  constructor(readonly state: TreeState) {
    this.size = Math.min(state.names.length, state.parent.length);
    this.end = new Int32Array(this.size);
    for (let i = this.size - 1; i >= 0; i--) {
      this.end[i] = Math.max(this.end[i] as number, i + 1);
      const parent = state.parent[i] as number;
      if (parent >= 0) this.end[parent] = Math.max(this.end[parent] as number, this.end[i] as number);
    }
    this.sharedWith = new Map(state.tied);
    this.#paths = new Array<string | undefined>(this.size);
  }

  children(node: number): readonly number[] {
    if (!this.#children) {
      this.#children = Array.from({ length: this.size }, () => []);
      for (let i = 1; i < this.size; i++) this.#children[this.state.parent[i] as number]?.push(i);
    }
    return this.#children[node] ?? [];
  }

  /** The names from below the root, joined by dots. */
  path(node: number): string {
    const known = this.#paths[node];
    if (known !== undefined) return known;
    const parent = this.state.parent[node] ?? -1;
    const name = this.state.names[node] ?? "";
    const above = parent > 0 ? this.path(parent) : "";
    const path = parent < 0 ? "" : above ? `${above}.${name}` : name;
    this.#paths[node] = path;
    return path;
  }

  /** The node of a path, or -1. */
  find(path: string): number {
    if (!this.#byPath) {
      this.#byPath = new Map();
      for (let i = 0; i < this.size; i++) this.#byPath.set(this.path(i), i);
    }
    return this.#byPath.get(path) ?? -1;
  }

  /** The nodes of a path, or of a slice that the page has made itself. */
  places(target: string): readonly number[] {
    const node = this.find(target);
    return node >= 0 ? [node] : (this.named.get(target) ?? []);
  }

  className(node: number): string {
    return this.state.classes[this.state.class_index[node] ?? 0] ?? "";
  }

  params(node: number): number {
    return this.state.params[node] ?? 0;
  }

  isLeaf(node: number): boolean {
    return (this.end[node] as number) === node + 1;
  }
}
