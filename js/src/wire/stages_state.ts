/** The trait `stages_state`: which stages can be chosen, which are, and how far each is. Decoding only. */
import { readCurve, type Curve } from "./curve";
import { finite, finiteOrNull, list, oneOf, record, text, textOrNull, texts } from "../base/loose";
import { readNumber } from "./numbers";

export const STATUSES = ["coming", "running", "stopped", "failed", "done"] as const;
export type StageStatus = (typeof STATUSES)[number];

export interface Choice {
  name: string;
  label: string;
  stages: string[];
  source: string;
}

export interface StagedStage {
  name: string;
  /** What trains, and at which rates. */
  what: string;
  /** What the source says of batch, epochs and schedule. */
  how: string;
  optimizer: string;
  schedule: string;
  steps: number;
  data: string;
  notes: string[];
  /** Why it cannot run; "" where it can. */
  refusal: string;
  least_bytes: number | null;
  status: StageStatus;
  burst: number;
  taken: number;
  seconds: number;
  peak_bytes: number | null;
  failures: number;
  message: string;
  curve: Curve;
}

export interface Chosen {
  name: string;
  source: string;
  stages: StagedStage[];
  /** Whether the model has weights of stages that are neither kept nor discarded. */
  active: boolean;
  runs_all: boolean;
  outcome: "kept" | "discarded" | null;
  restored: { tensors: number; changed: number } | null;
  seconds: number;
  peak_bytes: number | null;
}

export interface StagesState {
  choices: Choice[];
  why_not: string | null;
  chosen: Chosen | null;
}

/** Null where there are no stages at all, as in a page of another release. */
export function readStages(value: unknown): StagesState | null {
  const state = record(value);
  if (state.v !== 1) return null;
  return {
    choices: list(state.choices).map(readChoice),
    why_not: textOrNull(state.why_not),
    chosen: state.chosen ? readChosen(state.chosen) : null,
  };
}

function readChoice(item: unknown): Choice {
  const c = record(item);
  return { name: text(c.name), label: text(c.label) || text(c.name), stages: texts(c.stages), source: text(c.source) };
}

function readChosen(value: unknown): Chosen {
  const c = record(value);
  const restored = c.restored ? record(c.restored) : null;
  return {
    name: text(c.name),
    source: text(c.source),
    stages: list(c.stages).map(readStage),
    active: c.active === true,
    runs_all: c.runs_all === true,
    outcome: c.outcome === "kept" || c.outcome === "discarded" ? c.outcome : null,
    restored: restored && { tensors: finite(restored.tensors), changed: finite(restored.changed) },
    seconds: readNumber(c.seconds),
    peak_bytes: finiteOrNull(c.peak_bytes),
  };
}

function readStage(item: unknown): StagedStage {
  const s = record(item);
  return {
    name: text(s.name),
    what: text(s.what),
    how: text(s.how),
    optimizer: text(s.optimizer),
    schedule: text(s.schedule),
    steps: Math.max(1, finite(s.steps, 1)),
    data: text(s.data),
    notes: texts(s.notes),
    refusal: text(s.refusal),
    least_bytes: finiteOrNull(s.least_bytes),
    status: oneOf(STATUSES, s.status),
    burst: finite(s.burst),
    taken: finite(s.taken),
    seconds: readNumber(s.seconds),
    peak_bytes: finiteOrNull(s.peak_bytes),
    failures: finite(s.failures),
    message: text(s.message),
    curve: readCurve(s.points),
  };
}
