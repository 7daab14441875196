/** The trait `runs_state`: the runs of a folder, the one that is open, and two side by side. Decoding only. */
import { readCurve, type Curve } from "./curve";
import { finite, finiteOrNull, list, oneOf, record, text, texts } from "../base/loose";
import { readNumberOrNull } from "./numbers";

export interface RunRow {
  /** Of its folder; what a request calls it. */
  name: string;
  /** In seconds since 1970. */
  began: number | null;
  phase: string;
  /** What trains; of a run that cannot be read, why. */
  sentence: string;
  steps: number;
  of: number | null;
  loss: number | null;
  eval_loss: number | null;
  verdicts: { ok: number; warnings: number; failures: number };
  seconds: number;
}

export type VerdictStatus = "pending" | "ok" | "warning" | "failure";

export interface OpenedRun {
  row: RunRow;
  model: string;
  message: string;
  verdicts: { label: string; status: VerdictStatus; text: string }[];
  settings: { name: string; value: string }[];
  curve: Curve;
  /** Why its strategy cannot be taken over; null where it can. */
  why_not: string | null;
}

export interface Difference {
  part: "strategy" | "settings" | "model" | "versions";
  name: string;
  here: string;
  there: string;
}

export interface ComparedRuns {
  names: [string, string];
  differences: Difference[];
  /** Whether both read the same, in words. */
  data: string;
  /** The last step up to which both are equal bit for bit. */
  same_until: number;
  curves: [Curve, Curve];
}

export interface RunsState {
  folder: string;
  recording: boolean;
  waiting: boolean;
  /** The newest first; null while nobody has asked. */
  rows: RunRow[] | null;
  /** Older ones that are not listed. */
  more: number;
  opened: OpenedRun | null;
  compared: ComparedRuns | null;
  /** Where the last report lies; "" before. */
  report: string;
  problem: string;
}

/** Null where no runs are kept, as in a page of another release. */
export function readRuns(value: unknown): RunsState | null {
  const state = record(value);
  if (state.v !== 1) return null;
  return {
    folder: text(state.folder),
    recording: state.recording === true,
    waiting: state.waiting === true,
    rows: Array.isArray(state.rows) ? list(state.rows).map(readRow) : null,
    more: finite(state.more),
    opened: state.opened ? readOpened(state.opened) : null,
    compared: state.compared ? readCompared(state.compared) : null,
    report: text(state.report),
    problem: text(state.problem),
  };
}

function readRow(item: unknown): RunRow {
  const r = record(item);
  const [ok, warnings, failures] = list(r.verdicts).map((n) => finite(n));
  return {
    name: text(r.name),
    began: finiteOrNull(r.began),
    phase: text(r.phase),
    sentence: text(r.sentence),
    steps: finite(r.steps),
    of: finiteOrNull(r.of),
    loss: readNumberOrNull(r.loss),
    eval_loss: readNumberOrNull(r.eval_loss),
    verdicts: { ok: ok ?? 0, warnings: warnings ?? 0, failures: failures ?? 0 },
    seconds: finite(r.seconds),
  };
}

function readOpened(value: unknown): OpenedRun {
  const o = record(value);
  return {
    row: readRow(o.row),
    model: text(o.model),
    message: text(o.message),
    verdicts: list(o.verdicts).map((item) => {
      const [label, status, words] = list(item);
      return {
        label: text(label),
        status: oneOf(["pending", "ok", "warning", "failure"] as const, status),
        text: text(words),
      };
    }),
    settings: list(o.settings).map((item) => {
      const [name, said] = list(item);
      return { name: text(name), value: text(said) };
    }),
    curve: readCurve(o.points),
    why_not: typeof o.why_not === "string" ? o.why_not : null,
  };
}

function readCompared(value: unknown): ComparedRuns {
  const c = record(value);
  const [here, there] = texts(c.names);
  const [first, second] = list(c.points);
  return {
    names: [here ?? "", there ?? ""],
    differences: list(c.differences).map((item) => {
      const [part, name, before, after] = list(item);
      return {
        part: oneOf(["strategy", "settings", "model", "versions"] as const, part),
        name: text(name),
        here: text(before),
        there: text(after),
      };
    }),
    data: text(c.data),
    same_until: finite(c.same_until),
    curves: [readCurve(first), readCurve(second)],
  };
}
