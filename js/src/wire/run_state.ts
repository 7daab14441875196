/** The trait `run_state`: where the burst stands. Decoding only; the rows of the burst are events. */
import { t } from "../language/words";
import { finite, finiteOrNull, list, oneOf, record, text, textOrNull, texts } from "../base/loose";
import { readNumberOrNull } from "./numbers";

export const PHASES = [
  "plan_only",
  "loading",
  "idle",
  "probing",
  "comparing",
  "preparing",
  "running",
  "paused",
  "stopping",
  "deciding",
  "restoring",
  "failed",
] as const;
export type Phase = (typeof PHASES)[number];

/** What went wrong, in the three parts that every error of this package has. */
export interface ErrorParts {
  code: string;
  message: string;
  expected: string;
  found: string;
  remedy: string;
  traceback: string;
}

export interface Verdict {
  component: string;
  label: string;
  status: "pending" | "ok" | "warning" | "failure";
  text: string;
  selected: boolean;
  lr: number | null;
  gradient: number | null;
  moved: number | null;
}

export interface RunState {
  phase: Phase;
  burst: number;
  steps: number;
  step: number;
  rows: number;
  seconds_per_step: number | null;
  eta_seconds: number | null;
  tokens_per_second: number | null;
  memory_bytes: number | null;
  estimate_bytes: number | null;
  groups: { component: string; lr: number | null }[];
  columns: { lr: string[]; grad_norm: string[] };
  verdicts: Verdict[];
  verdict_after: number | null;
  skipped: number;
  message: string | null;
  error: ErrorParts | null;
  can_run: boolean;
  why_not: string | null;
  /** What the model said before, and says at a step, to the questions; null where nothing was asked. */
  answers: { before: string[]; now: string[]; step: number } | null;
  /** Whether there are weights to load. */
  can_load: boolean;
  outcome: "kept" | "discarded" | null;
  default_steps: number;
  /** Where the loss is computed and why; null before the first step, and where nothing else than "all" was asked for. */
  loss_positions: { way: "labels" | "all"; reason: string } | null;
}

export function readRun(value: unknown): RunState {
  const state = record(value);
  const columns = record(state.columns);
  return {
    phase: oneOf(PHASES, state.phase),
    burst: finite(state.burst),
    steps: finite(state.steps),
    step: finite(state.step),
    rows: finite(state.rows),
    seconds_per_step: readNumberOrNull(state.seconds_per_step),
    eta_seconds: readNumberOrNull(state.eta_seconds),
    tokens_per_second: readNumberOrNull(state.tokens_per_second),
    memory_bytes: finiteOrNull(state.memory_bytes),
    estimate_bytes: finiteOrNull(state.estimate_bytes),
    groups: list(state.groups).map((item) => {
      const g = record(item);
      return { component: text(g.component), lr: readNumberOrNull(g.lr) };
    }),
    columns: { lr: texts(columns.lr), grad_norm: texts(columns.grad_norm) },
    verdicts: list(state.verdicts).map(readVerdict),
    verdict_after: finiteOrNull(state.verdict_after),
    skipped: finite(state.skipped),
    message: textOrNull(state.message),
    error: state.error ? readError(state.error) : null,
    can_run: state.can_run === true,
    why_not: textOrNull(state.why_not),
    answers: state.answers
      ? {
          before: texts(record(state.answers).before),
          now: texts(record(state.answers).now),
          step: finite(record(state.answers).step),
        }
      : null,
    can_load: state.can_load === true,
    outcome: state.outcome === "kept" || state.outcome === "discarded" ? state.outcome : null,
    default_steps: finite(state.default_steps, 50),
    loss_positions: state.loss_positions
      ? {
          way: record(state.loss_positions).way === "labels" ? "labels" : "all",
          reason: text(record(state.loss_positions).reason),
        }
      : null,
  };
}

export function readError(value: unknown): ErrorParts {
  const e = record(value);
  return {
    code: text(e.code, "unexpected"),
    message: text(e.message, t("Something went wrong in Python, which did not say what.")),
    expected: text(e.expected),
    found: text(e.found),
    remedy: text(e.remedy),
    traceback: text(e.traceback),
  };
}

function readVerdict(item: unknown): Verdict {
  const v = record(item);
  return {
    component: text(v.component),
    label: text(v.label) || text(v.component),
    status: oneOf(["pending", "ok", "warning", "failure"] as const, v.status),
    text: text(v.text),
    selected: v.selected === true,
    lr: readNumberOrNull(v.lr),
    gradient: readNumberOrNull(v.gradient),
    moved: readNumberOrNull(v.moved),
  };
}
