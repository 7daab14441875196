/** The trait `probe_state`: what a probe found. Decoding only. */
import { column } from "./buffers";
import { finite, finiteOrNull, list, oneOf, record, text, texts } from "../base/loose";
import { readNumberOrNull } from "./numbers";

/** The four links of one component, counted over its tensors. */
export interface LinkCount {
  name: string;
  label: string;
  intent: string;
  tensors: number;
  selected: number;
  in_optimizer: number | null;
  gradient: number;
  /** Of `measured` tensors. */
  moved: number | null;
  measured: number;
  rates: number[];
  open_norm: number | null;
}

export interface Finding {
  code: string;
  severity: "failure" | "warning";
  label: string;
  message: string;
  remedy: string;
  paths: string[];
  count: number;
}

export interface ProbeState {
  probe: number;
  rev: number;
  steps: number;
  components: LinkCount[];
  findings: Finding[];
  batches: { count: number; label_tokens: number; with_pictures: number } | null;
  /** Norm per node with everything open; empty when that was not asked. */
  open: Float32Array;
  /** Eight numbers per module that holds such tensors, `link_counts.ts` reads them. */
  modules: Int32Array;
}

export function readProbe(value: unknown): ProbeState {
  const state = record(value);
  const batches = state.batches ? record(state.batches) : null;
  return {
    probe: finite(state.probe),
    rev: finite(state.rev),
    steps: finite(state.steps),
    components: list(state.components).map((item) => {
      const c = record(item);
      return {
        name: text(c.name),
        label: text(c.label) || text(c.name),
        intent: text(c.intent),
        tensors: finite(c.tensors),
        selected: finite(c.selected),
        in_optimizer: finiteOrNull(c.in_optimizer),
        gradient: finite(c.gradient),
        moved: finiteOrNull(c.moved),
        measured: finite(c.measured),
        rates: list(c.rates).map((rate) => readNumberOrNull(rate) ?? NaN),
        open_norm: readNumberOrNull(c.open_norm),
      };
    }),
    findings: list(state.findings).map((item) => {
      const f = record(item);
      return {
        code: text(f.code),
        severity: oneOf(["failure", "warning"] as const, f.severity),
        label: text(f.label),
        message: text(f.message),
        remedy: text(f.remedy),
        paths: texts(f.paths),
        count: finite(f.count),
      };
    }),
    batches: batches && {
      count: finite(batches.count),
      label_tokens: finite(batches.label_tokens),
      with_pictures: finite(batches.with_pictures),
    },
    open: column(Float32Array, state.open),
    modules: column(Int32Array, state.modules),
  };
}
