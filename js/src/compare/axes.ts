/** What a board can be drawn over, and how each is written. */
import { count, measure, seconds, size } from "../format";
import { t } from "../language/words";
import type { Contender } from "../wire/compare_state";

export interface Axis {
  key: "memory" | "seconds" | "params" | "retention";
  label: () => string;
  value: (contender: Contender) => number | null;
  form: (value: number) => string;
}

export const AXES: readonly Axis[] = [
  { key: "memory", label: () => t("peak memory"), value: (c) => c.memory_bytes, form: size },
  { key: "seconds", label: () => t("seconds per step"), value: (c) => c.seconds, form: seconds },
  { key: "params", label: () => t("trainable parameters"), value: (c) => c.trainable_params, form: count },
  { key: "retention", label: () => t("forgot (KL on text alone)"), value: (c) => c.retention, form: measure },
];
