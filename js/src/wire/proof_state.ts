/** The trait `proof_state`: that frozen tensors did not change, and that a discarded burst left nothing. Decoding only. */
import { finite, list, record, text, texts } from "../base/loose";

export interface ProofState {
  burst: number;
  frozen: number;
  changed: number;
  /** The first of those that changed. */
  changed_names: string[];
  /** In words. */
  algorithm: string;
  bytes: number;
  seconds: number;
  components: { name: string; label: string; frozen: number; changed: number }[];
  /** Name and digest before the burst, of the first tensors. */
  digests: [name: string, digest: string][];
  restored: { tensors: number; changed: number; changed_names: string[] } | null;
}

/** Null where nothing is proved yet. */
export function readProof(value: unknown): ProofState | null {
  const state = record(value);
  const burst = finite(state.burst);
  if (!burst) return null;
  const restored = state.restored ? record(state.restored) : null;
  return {
    burst,
    frozen: finite(state.frozen),
    changed: finite(state.changed),
    changed_names: texts(state.changed_names),
    algorithm: text(state.algorithm),
    bytes: finite(state.bytes),
    seconds: finite(state.seconds),
    components: list(state.components).map((item) => {
      const c = record(item);
      return {
        name: text(c.name),
        label: text(c.label) || text(c.name),
        frozen: finite(c.frozen),
        changed: finite(c.changed),
      };
    }),
    digests: list(state.digests).map((item) => [text(list(item)[0]), text(list(item)[1])]),
    restored: restored && {
      tensors: finite(restored.tensors),
      changed: finite(restored.changed),
      changed_names: texts(restored.changed_names),
    },
  };
}
