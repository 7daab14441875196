/** The trait `plan_state`: what the strategy comes to on this tree. Decoding only. */
import { column } from "./buffers";
import { finite, finiteOrNull, list, oneOf, record, text, textOrNull, texts } from "../base/loose";
import { readNumberOrNull } from "./numbers";

export const ROW_TUNINGS = ["frozen", "lora", "full", "mixed"] as const;
export type RowTuning = (typeof ROW_TUNINGS)[number];
/** What a request can set; `inherit` takes the module's own rule away. */
export type TuningEdit = "frozen" | "lora" | "full" | "inherit";

/** The codes of the `tuning` column. */
export const FROZEN = 0;
export const LORA = 1;
export const FULL = 2;
export const MIXED = 3;
export const NONE = 4;

export interface ComponentPlan {
  name: string;
  label: string;
  tuning: RowTuning;
  params: number;
  trainable_params: number;
  adapter_params: number;
  lr: number | null;
  /** LoRA+: the rate of lora_B over lr. */
  lr_ratio: number | null;
  rank: number | null;
  alpha: number | null;
  /** The update is scaled by alpha / sqrt(rank), not alpha / rank. */
  rslora: boolean;
  targets: number;
  /** Modules that LoRA on all of the component would adapt, and those that have it besides. */
  adaptable: number;
  /** Repeated blocks, how many of them train, and whether these are the last. */
  blocks: { count: number; last: number; are_last: boolean } | null;
  detail: string;
}

export interface Warning {
  code: string;
  severity: "warning" | "refusal";
  message: string;
  remedy: string;
  paths: string[];
  count: number;
}

export interface Cost {
  title: string;
  parts: { name: string; label: string; bytes: number }[];
  total_bytes: number;
  limit_bytes: number | null;
  note: string;
}

export interface PlanState {
  rev: number;
  sentence: string;
  strategy_name: string;
  trainable_params: number;
  total_params: number;
  frozen_params: number;
  adapter_params: number;
  tuning: Uint8Array;
  components: ComponentPlan[];
  counts: { frozen: number; full: number; lora: number; lora_modules: number };
  warnings: Warning[];
  cost: Cost | null;
  rules: { target: string; tuning: RowTuning; text: string }[];
  can_undo: boolean;
  can_redo: boolean;
}

export function readPlan(value: unknown): PlanState {
  const state = record(value);
  const counts = record(state.counts);
  return {
    rev: finite(state.rev),
    sentence: text(state.sentence),
    strategy_name: text(state.strategy_name),
    trainable_params: finite(state.trainable_params),
    total_params: finite(state.total_params),
    frozen_params: finite(state.frozen_params),
    adapter_params: finite(state.adapter_params),
    tuning: column(Uint8Array, state.tuning),
    components: list(state.components).map(readComponent),
    counts: {
      frozen: finite(counts.frozen),
      full: finite(counts.full),
      lora: finite(counts.lora),
      lora_modules: finite(counts.lora_modules),
    },
    warnings: list(state.warnings).map(readWarning),
    cost: readCost(state.cost),
    rules: list(state.rules).map((item) => {
      const r = record(item);
      return { target: text(r.target), tuning: oneOf(ROW_TUNINGS, r.tuning), text: text(r.text) };
    }),
    can_undo: state.can_undo === true,
    can_redo: state.can_redo === true,
  };
}

function readComponent(item: unknown): ComponentPlan {
  const c = record(item);
  const blocks = record(c.blocks);
  return {
    name: text(c.name),
    label: text(c.label) || text(c.name),
    tuning: oneOf(ROW_TUNINGS, c.tuning),
    params: finite(c.params),
    trainable_params: finite(c.trainable_params),
    adapter_params: finite(c.adapter_params),
    lr: readNumberOrNull(c.lr),
    lr_ratio: finiteOrNull(c.lr_ratio),
    rank: finiteOrNull(c.rank),
    alpha: finiteOrNull(c.alpha),
    rslora: c.rslora === true,
    targets: finite(c.targets),
    adaptable: finite(c.adaptable),
    blocks:
      typeof blocks.count === "number"
        ? { count: finite(blocks.count), last: finite(blocks.last), are_last: blocks.are_last !== false }
        : null,
    detail: text(c.detail),
  };
}

function readWarning(item: unknown): Warning {
  const w = record(item);
  return {
    code: text(w.code),
    severity: oneOf(["warning", "refusal"] as const, w.severity),
    message: text(w.message),
    remedy: text(w.remedy),
    paths: texts(w.paths),
    count: finite(w.count),
  };
}

function readCost(value: unknown): Cost | null {
  if (typeof value !== "object" || value === null) return null;
  const cost = record(value);
  return {
    title: text(cost.title),
    parts: list(cost.parts).map((item) => {
      const p = record(item);
      return { name: text(p.name), label: text(p.label) || text(p.name), bytes: Math.max(0, finite(p.bytes)) };
    }),
    total_bytes: finite(cost.total_bytes),
    limit_bytes: finiteOrNull(cost.limit_bytes),
    note: textOrNull(cost.note) ?? "",
  };
}
