/**
 * What an edit will probably come to, drawn before Python confirms. Pure: a plan in, a plan out. Counts, costs and the
 * sentence stay Python's; only the colours of the map and the controls of the rows are predicted.
 */
import type { ModelTree } from "../tree/model_tree";
import type { Loose } from "../base/loose";
import type { RequestName } from "../wire/messages";
import {
  FROZEN,
  FULL,
  LORA,
  MIXED,
  NONE,
  type ComponentPlan,
  type PlanState,
  type RowTuning,
} from "../wire/plan_state";

const CODES: Record<string, number> = { frozen: FROZEN, lora: LORA, full: FULL };
const WORDS: readonly RowTuning[] = ["frozen", "lora", "full", "mixed"];

/** The plan as it will look after an edit; the same plan where that is not known here (presets, undo, inherit). */
export function preview(tree: ModelTree, plan: PlanState, name: RequestName, args: Loose): PlanState {
  switch (name) {
    case "set_tuning":
      return typeof args.tuning === "string" && args.tuning in CODES
        ? setTuning(tree, plan, args.targets as string[], CODES[args.tuning] as number)
        : plan;
    case "set_lr":
      return row(plan, args.target, (c) => ({ ...c, lr: args.lr as number | null }));
    case "set_lora":
      return row(plan, args.target, (c) => ({ ...c, rank: args.rank as number, alpha: args.alpha as number }));
    case "set_blocks":
      return row(plan, args.component, (c) => ({
        ...c,
        blocks: c.blocks && { ...c.blocks, last: args.last as number, are_last: true },
      }));
    default:
      return plan;
  }
}

function row(plan: PlanState, name: unknown, change: (c: ComponentPlan) => ComponentPlan): PlanState {
  return { ...plan, components: plan.components.map((c) => (c.name === name ? change(c) : c)) };
}

function setTuning(tree: ModelTree, plan: PlanState, targets: readonly string[], code: number): PlanState {
  const tuning = plan.tuning.slice();
  const { components, component } = tree.state;
  const touched = new Set<number>();
  for (const target of targets) {
    const index = components.findIndex((c) => c.name === target);
    const tops = index >= 0 ? (components[index]?.nodes ?? []) : tree.places(target);
    for (const top of tops) {
      for (let n = top; n < (tree.end[top] as number); n++) {
        const owner = component[n] ?? 255;
        if ((index >= 0 && owner !== index) || tuning[n] === NONE) continue;
        if (tree.isLeaf(n)) tuning[n] = code === LORA && !tree.state.lora[n] ? FROZEN : code;
        if (owner < components.length) touched.add(owner);
      }
    }
  }
  gather(tree, tuning);
  const rows = plan.components.map((c) => {
    const index = components.findIndex((x) => x.name === c.name);
    if (!touched.has(index)) return c;
    const word = WORDS[union((components[index]?.nodes ?? []).map((n) => own(tree, tuning, n, index)))] ?? c.tuning;
    return { ...c, tuning: word, lr: word === "frozen" ? null : c.lr };
  });
  return { ...plan, tuning, components: rows };
}

/** Gives each module the tuning that all below it have, or mixed; norms beside LoRA layers do not make a block mixed. */
function gather(tree: ModelTree, tuning: Uint8Array): void {
  const seen = new Uint8Array(tree.size); // bits: 1 frozen, 2 lora, 4 full, 8 frozen though LoRA could adapt it
  for (let n = tree.size - 1; n >= 0; n--) {
    if (tree.isLeaf(n)) {
      const code = tuning[n] as number;
      seen[n] =
        code === FROZEN
          ? tree.state.lora[n]
            ? 9
            : 1
          : code === LORA
            ? 2
            : code === FULL
              ? 4
              : code === MIXED
                ? 15
                : 0;
    } else if (tuning[n] !== NONE) tuning[n] = codeOf(seen[n] as number);
    const parent = tree.state.parent[n] as number;
    if (parent >= 0) seen[parent] = (seen[parent] as number) | (seen[n] as number);
  }
}

function codeOf(bits: number): number {
  if (bits & 2 && !(bits & 8)) bits &= ~1;
  bits &= 7;
  return bits === 0 ? NONE : bits === 1 ? FROZEN : bits === 2 ? LORA : bits === 4 ? FULL : MIXED;
}

/** The tuning of a component's own leaves below a node. */
function own(tree: ModelTree, tuning: Uint8Array, top: number, index: number): number {
  const codes: number[] = [];
  let adaptable = false;
  for (let n = top; n < (tree.end[top] as number); n++) {
    if (!tree.isLeaf(n) || tree.state.component[n] !== index || tuning[n] === NONE) continue;
    if (tuning[n] === FROZEN && tree.state.lora[n]) adaptable = true;
    codes.push(tuning[n] as number);
  }
  return codes.includes(LORA) && !adaptable ? union(codes.filter((c) => c !== FROZEN)) : union(codes);
}

function union(codes: readonly number[]): number {
  const kinds = new Set(codes.filter((c) => c !== NONE));
  return kinds.size === 0 ? NONE : kinds.size === 1 ? ([...kinds][0] as number) : MIXED;
}
