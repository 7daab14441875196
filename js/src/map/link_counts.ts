/** The four links of any item of the map: what Python counted per module, summed over what lies below. Pure. */
import type { FoldedTree } from "../tree/folded_tree";
import type { ModelTree } from "../tree/model_tree";

export interface Links {
  tensors: number;
  selected: number;
  /** Null where there was no optimizer to ask, or nothing was measured. */
  in_optimizer: number | null;
  gradient: number;
  moved: number | null;
  measured: number;
  /** How many do not do what was wanted. */
  broken: number;
}

/** As a verdict: 0 all do what was wanted, 1 some do not, 2 none does, 3 nothing was meant to train. */
export type Verdict = 0 | 1 | 2 | 3;

const WIDTH = 8;
const NO_COMPONENT = 255;

export class LinkCounts {
  #sums = new Map<number, Links>();

  constructor(tree: ModelTree, modules: Int32Array) {
    const { component, components, parent } = tree.state;
    for (let i = 0; i + WIDTH <= modules.length; i += WIDTH) {
      const [node = -1, tensors = 0, selected = 0, held = -1, gradient = 0, moved = -1, measured = 0, broken = 0] =
        modules.subarray(i, i + WIDTH);
      if (node < 0 || node >= tree.size) continue;
      const own: Links = {
        tensors,
        selected,
        in_optimizer: held < 0 ? null : held,
        gradient,
        moved: moved < 0 ? null : moved,
        measured,
        broken,
      };
      const owner = component[node] ?? NO_COMPONENT;
      // A component inside another one is shown beside it, so its links end at its own top.
      const tops = components[owner]?.nodes ?? [];
      for (let n = node; n >= 0; n = tops.includes(n) ? -1 : (parent[n] as number))
        this.#sums.set(n, sum(this.#sums.get(n) ?? NOTHING, own));
    }
  }

  /** Of a component, a module, or a fold of several. */
  of(display: FoldedTree, id: number): Links {
    const item = display.item(id);
    if (item.members) return item.members.map((member) => this.of(display, member)).reduce(sum, NOTHING);
    if (item.node >= 0) return this.#sums.get(item.node) ?? NOTHING;
    return item.children.map((child) => this.of(display, child)).reduce(sum, NOTHING);
  }

  verdict(display: FoldedTree, id: number): Verdict {
    const { tensors, broken } = this.of(display, id);
    return !tensors ? 3 : !broken ? 0 : broken < tensors ? 1 : 2;
  }
}

const NOTHING: Links = {
  tensors: 0,
  selected: 0,
  in_optimizer: null,
  gradient: 0,
  moved: null,
  measured: 0,
  broken: 0,
};

function sum(a: Links, b: Links): Links {
  const known = (x: number | null, y: number | null): number | null => (x === null ? y : y === null ? x : x + y);
  return {
    tensors: a.tensors + b.tensors,
    selected: a.selected + b.selected,
    in_optimizer: known(a.in_optimizer, b.in_optimizer),
    gradient: a.gradient + b.gradient,
    moved: known(a.moved, b.moved),
    measured: a.measured + b.measured,
    broken: a.broken + b.broken,
  };
}
