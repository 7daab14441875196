/** The trait `compare_state`: who takes part in a comparison, and what is known of each. Decoding only. */
import { column } from "./buffers";
import { finite, finiteOrNull, list, oneOf, record, text, texts } from "../base/loose";
import { readNumberOrNull } from "./numbers";

export interface Curve {
  steps: number[];
  values: number[];
}

export interface Contender {
  name: string;
  /** Place in the list, for its letter and colour. */
  index: number;
  sentence: string;
  /** Why it cannot run; "" where it can. */
  refusal: string;
  state: "to_come" | "running" | "finished" | "stopped" | "failed";
  place: number | null;
  on_front: boolean;
  loss: number | null;
  behind: {
    call: "lower" | "higher" | "too_close" | "equal";
    mean: number | null;
    low: number | null;
    high: number | null;
  } | null;
  memory_bytes: number | null;
  memory_is_measured: boolean;
  seconds: number | null;
  trainable_params: number | null;
  retention: number | null;
  steps: number;
  runs: number;
  note: string;
  curve: Curve;
  train: Curve;
}

export interface CompareState {
  status: "open" | "running" | "paused" | "over";
  why_not: string | null;
  steps: number;
  seeds: number;
  /** Share of all steps, 0 to 1. */
  done: number;
  eta_seconds: number | null;
  message: string;
  pays: string;
  measured: "held_out" | "training";
  sentence: string;
  notes: string[];
  contenders: Contender[];
}

const MOST = 40;

/** Null where nothing can be compared. */
export function readCompare(value: unknown): CompareState | null {
  const state = record(value);
  if (state.status === undefined) return null;
  return {
    status: oneOf(["open", "running", "paused", "over"] as const, state.status),
    why_not: text(state.why_not) || null,
    steps: finite(state.steps, 30),
    seeds: finite(state.seeds, 3),
    done: Math.min(1, Math.max(0, finite(state.done))),
    eta_seconds: readNumberOrNull(state.eta_seconds),
    message: text(state.message),
    pays: text(state.pays),
    measured: oneOf(["held_out", "training"] as const, state.measured),
    sentence: text(state.sentence),
    notes: texts(state.notes),
    contenders: list(state.contenders).slice(0, MOST).map(readContender),
  };
}

function readContender(value: unknown): Contender {
  const c = record(value);
  const behind = c.behind ? record(c.behind) : null;
  return {
    name: text(c.name),
    index: Math.max(0, Math.trunc(finite(c.index))),
    sentence: text(c.sentence),
    refusal: text(c.refusal),
    state: oneOf(["to_come", "running", "finished", "stopped", "failed"] as const, c.state),
    place: finiteOrNull(c.place),
    on_front: c.on_front === true,
    loss: readNumberOrNull(c.loss),
    behind: behind && {
      call: oneOf(["too_close", "lower", "higher", "equal"] as const, behind.call),
      mean: readNumberOrNull(behind.mean),
      low: readNumberOrNull(behind.low),
      high: readNumberOrNull(behind.high),
    },
    memory_bytes: finiteOrNull(c.memory_bytes),
    memory_is_measured: c.memory_is_measured === true,
    seconds: readNumberOrNull(c.seconds),
    trainable_params: finiteOrNull(c.trainable_params),
    retention: readNumberOrNull(c.retention),
    steps: finite(c.steps),
    runs: finite(c.runs),
    note: text(c.note),
    curve: readCurve(c.curve),
    train: readCurve(c.train),
  };
}

function readCurve(value: unknown): Curve {
  const points = column(Float64Array, value);
  const steps: number[] = [];
  const values: number[] = [];
  for (let i = 0; i + 1 < points.length; i += 2) {
    steps.push(points[i] ?? NaN);
    values.push(points[i + 1] ?? NaN);
  }
  return { steps, values };
}
