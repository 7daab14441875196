/** The trait `tree_state`: which modules a model has. Decoding only; what is computed from it lives in `tree/`. */
import { column } from "./buffers";
import { finite, list, record, text, texts } from "../base/loose";

export interface ComponentState {
  name: string;
  label: string;
  /** Topmost nodes that the component owns. */
  nodes: number[];
  params: number;
  /** The module whose children are the repeated blocks, or null. */
  blocks: { node: number; count: number } | null;
}

export interface TreeState {
  title: string;
  dtype: string;
  device: string;
  total_params: number;
  /** Short phrases about the whole tree: active parameters, buffers, files, remarks. */
  facts: string[];
  /** Whether the components were guessed from names. */
  is_guess: boolean;
  /** What is remarkable about single nodes. */
  notes: Map<number, string>;
  names: string[];
  classes: string[];
  components: ComponentState[];
  /** Pairs [alias, owner] of nodes that share a tensor. */
  tied: [number, number][];
  /** Per group of alike blocks: the holder, then first, stop, step of ranges among its module children. */
  folds: number[][];
  parent: Int32Array;
  class_index: Uint32Array;
  /** Of the subtree; a shared tensor once. */
  params: Float64Array;
  /** Held by the node itself. */
  own: Float64Array;
  /** Of the subtree. */
  bytes: Float64Array;
  /** Index into `components`; 255 where a node spans several or none. */
  component: Uint8Array;
  /** 0 module, 1 bare parameter. */
  kind: Uint8Array;
  /** 1 where LoRA can adapt the module. */
  lora: Uint8Array;
}

const [CLASS, OWN, BYTES, COMPONENT, KIND, ADAPTABLE] = [0, 1, 2, 3, 4, 5];

/** Reads the trait. Parents are clamped to come before their children, so that no walk can loop. */
export function readTree(value: unknown): TreeState {
  const state = record(value);
  const words = texts(state.names);
  const names = Array.from(column(Uint32Array, state.name), (at) => words[at] ?? "");
  const within = (node: unknown): node is number =>
    Number.isInteger(node) && (node as number) >= 0 && (node as number) < names.length;
  const parent = column(Int32Array, state.parent);
  for (let i = 0; i < parent.length; i++) {
    const p = parent[i] as number;
    if (i === 0) parent[i] = -1;
    else if (p < 0 || p >= i) parent[i] = 0;
  }
  return {
    title: text(state.title),
    dtype: text(state.dtype),
    device: text(state.device),
    total_params: finite(state.total_params),
    facts: texts(state.facts),
    is_guess: state.is_guess === true,
    notes: new Map(
      list(state.notes).flatMap((pair) => {
        const [node, words] = list(pair);
        return within(node) ? [[node, text(words)] as [number, string]] : [];
      }),
    ),
    names,
    classes: texts(state.classes),
    components: list(state.components).map((item) => {
      const c = record(item);
      const blocks = record(c.blocks);
      return {
        name: text(c.name),
        label: text(c.label) || text(c.name),
        nodes: list(c.nodes).filter(within),
        params: finite(c.params),
        blocks: within(blocks.node) ? { node: blocks.node, count: finite(blocks.count) } : null,
      };
    }),
    tied: list(state.tied).flatMap((pair) => {
      const [alias, owner] = list(pair);
      return within(alias) && within(owner) ? [[alias, owner] as [number, number]] : [];
    }),
    folds: list(state.folds).flatMap((row) => {
      const numbers = list(row).map((n) => finite(n, -1));
      return within(numbers[0]) && numbers.length % 3 === 1 && numbers.every(Number.isInteger) ? [numbers] : [];
    }),
    parent,
    ...columns(state.sorts, column(Uint32Array, state.sort), parent),
  };
}

type Columns = Pick<TreeState, "class_index" | "params" | "own" | "bytes" | "component" | "kind" | "lora">;

/** One entry per node of what the wire says once per sort of node; subtrees are summed here. */
function columns(value: unknown, sort: Uint32Array, parent: Int32Array): Columns {
  const sorts = list(value).map((row) => list(row).map((n) => finite(n)));
  const part =
    (at: number, otherwise = 0) =>
    (s: number): number =>
      sorts[s]?.[at] ?? otherwise;
  const own = Float64Array.from(sort, part(OWN));
  const [params, bytes] = [own.slice(), Float64Array.from(sort, part(BYTES))];
  for (let i = Math.min(sort.length, parent.length) - 1; i > 0; i--) {
    const p = parent[i] as number;
    params[p] = (params[p] as number) + (params[i] as number);
    bytes[p] = (bytes[p] as number) + (bytes[i] as number);
  }
  // -1 becomes 255.
  return {
    class_index: Uint32Array.from(sort, part(CLASS)),
    params,
    own,
    bytes,
    component: Uint8Array.from(sort, part(COMPONENT, -1)),
    kind: Uint8Array.from(sort, part(KIND)),
    lora: Uint8Array.from(sort, part(ADAPTABLE)),
  };
}
