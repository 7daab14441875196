/**
 * Custom messages: requests that the page sends, replies and events that it gets. Encoding and decoding only; when a request is
 * sent, sent again or given up is `model/client.ts`.
 */
import { column } from "./buffers";
import { finite, list, record, text, type Loose } from "../base/loose";
import { readError, type ErrorParts } from "./run_state";

export const VERSION = 1;

/** Names of requests that edit the strategy: they carry the revision that the page drew and may be refused as stale. */
export const EDITS = [
  "set_tuning",
  "set_lr",
  "set_lora",
  "set_blocks",
  "preset",
  "import",
  "undo",
  "redo",
  "reset",
] as const;
export const ACTIONS = [
  "hello",
  "views",
  "snapshot",
  "run",
  "pause",
  "resume",
  "stop",
  "keep",
  "discard",
  "preview",
  "load",
  "probe",
  "cost",
  "series",
  "run_smaller",
  "save",
  "saved_states",
  "resume_from",
  "import_preview",
  "export_preview",
  "export_save",
  "use_settings",
  "language",
  "stages_choose",
  "stages_add",
  "stages_steps",
  "stages_run",
  "stages_decide",
  "runs_record",
  "runs_look",
  "runs_open",
  "runs_compare",
  "runs_take",
  "runs_report",
  "compare_add",
  "compare_corners",
  "compare_remove",
  "compare_clone",
  "compare_set",
  "compare_run",
  "compare_pause",
  "compare_stop",
  "compare_load",
] as const;
export type RequestName = (typeof EDITS)[number] | (typeof ACTIONS)[number];

export interface Request {
  v: number;
  kind: "request";
  id: string;
  rev: number;
  name: RequestName;
  args: Loose;
}

export type Reply = { id: string; rev: number } & ({ ok: true; result: Loose } | { ok: false; error: ErrorParts });

export interface RowsEvent {
  kind: "rows";
  burst: number;
  first: number;
  count: number;
  width: number;
  values: Float64Array;
  /** The state of the run with these rows, as the trait `run_state` has it; null where the trait itself was sent. */
  run?: Loose | null;
  paints?: PaintEvent[];
}

export interface PaintEvent {
  kind: "paint";
  burst: number;
  step: number;
  metric: string;
  values: Float32Array;
}

export function isEdit(name: RequestName): boolean {
  return (EDITS as readonly string[]).includes(name);
}

export function request(id: string, rev: number, name: RequestName, args: Loose): Request {
  return { v: VERSION, kind: "request", id, rev, name, args };
}

/** A reply, or null when the message is something else. */
export function readReply(message: unknown): Reply | null {
  const m = record(message);
  if (m.kind !== "reply" || m.v !== VERSION || typeof m.id !== "string") return null;
  const head = { id: m.id, rev: finite(m.rev) };
  return m.ok === true
    ? { ...head, ok: true, result: record(m.result) }
    : { ...head, ok: false, error: readError(m.error) };
}

/** Whether Python asks all pages how many views they have. */
export function isRollCall(message: unknown): boolean {
  const m = record(message);
  return m.v === VERSION && m.kind === "views";
}

/** An event, or null when the message is something else or its buffer does not fit what it says. */
export function readEvent(message: unknown, buffers: readonly unknown[] | undefined): RowsEvent | PaintEvent | null {
  const m = record(message);
  if (m.v !== VERSION) return null;
  const buffer = buffers?.[0];
  if (m.kind === "rows") {
    const [count, width] = [finite(m.count), finite(m.width)];
    const values = column(Float64Array, buffer);
    if (width < 1 || count < 0 || values.length !== count * width) return null;
    const run = typeof m.run === "object" && m.run !== null ? record(m.run) : null;
    const paints = list(m.paints).map((paint, i) => readPaint(record(paint), buffers?.[i + 1]));
    return { kind: "rows", burst: finite(m.burst), first: finite(m.first), count, width, values, run, paints };
  }
  return m.kind === "paint" ? readPaint(m, buffer) : null;
}

function readPaint(m: Loose, buffer: unknown): PaintEvent {
  return {
    kind: "paint",
    burst: finite(m.burst),
    step: finite(m.step),
    metric: text(m.metric),
    values: column(Float32Array, buffer),
  };
}
