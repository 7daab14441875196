/** The trait `saved_state`: what was written, and which bursts can go on. Decoding only. */
import { finite, list, record, text } from "../base/loose";

export interface SavedBurst {
  /** Of its folder; what a request calls it. */
  name: string;
  step: number;
  /** When, in seconds since 1970. */
  seconds: number;
  bytes: number;
}

export interface SavedState {
  /** Everything is written below it. */
  folder: string;
  written: { kind: "state" | "result"; path: string; step: number } | null;
  /** The newest first; null while nobody has asked. */
  states: SavedBurst[] | null;
  /** Whether the state is saved after the step that is being taken. */
  waiting: boolean;
}

/** Null where nothing can be saved. */
export function readSaved(value: unknown): SavedState | null {
  const state = record(value);
  const folder = text(state.folder);
  if (!folder) return null;
  const written = state.written ? record(state.written) : null;
  return {
    folder,
    written: written && {
      kind: written.kind === "result" ? "result" : "state",
      path: text(written.path),
      step: finite(written.step),
    },
    states: Array.isArray(state.states)
      ? list(state.states).map((item) => {
          const s = record(item);
          return { name: text(s.name), step: finite(s.step), seconds: finite(s.seconds), bytes: finite(s.bytes) };
        })
      : null,
    waiting: state.waiting === true,
  };
}
