/**
 * The traits that a page only reads, one row each: the name of the trait, and what it says. A new trait is a row here, its reader in
 * `wire/`, and its row in Python (widgets/workbench.py). What needs more than reading is `page.ts`.
 */
import { readAdvice } from "../wire/advice_state";
import { readCompare } from "../wire/compare_state";
import { readCost } from "../wire/cost_state";
import { readData } from "../wire/data_state";
import { readProbe } from "../wire/probe_state";
import { readProof } from "../wire/proof_state";
import { readRuns } from "../wire/runs_state";
import { readSaved } from "../wire/saved_state";
import { readStages } from "../wire/stages_state";

interface Row<T> {
  /** The name of the trait. */
  trait: string;
  /** What it says, null for nothing; undefined: it says nothing new, and what was read before stays. */
  read: (value: unknown, nodes: number | undefined) => T | null | undefined;
}

const row = <T>(trait: string, read: Row<T>["read"]): Row<T> => ({ trait, read });

/** By topic: views are told by this name, and find the state at `page[topic]`. */
export const STATES = {
  probe: row("probe_state", (value, nodes) => {
    const state = readProbe(value);
    if (state.open.length !== nodes) state.open = new Float32Array();
    return state.probe ? state : undefined;
  }),
  data: row("data_state", (value) => (value ? readData(value) : undefined)),
  proof: row("proof_state", readProof),
  saved: row("saved_state", readSaved),
  advice: row("advice_state", readAdvice),
  cost: row("cost_state", (value, nodes) => {
    const state = readCost(value);
    if (state && state.by_node.length !== nodes) state.by_node = new Float32Array();
    return state ?? undefined;
  }),
  compare: row("compare_state", readCompare),
  stages: row("stages_state", readStages),
  runs: row("runs_state", readRuns),
};

export type StateTopic = keyof typeof STATES;
export type States = { [T in StateTopic]: (typeof STATES)[T] extends Row<infer S> ? S | null : never };
export const STATE_TOPICS = Object.keys(STATES) as StateTopic[];
