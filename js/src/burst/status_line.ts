/** Where the burst is, in words and as a bar: "step 34 / 50 · 0.41 s/step · 6 s left · 6,240 tok/s · peak 21.1 GB". */
import { seconds, size, whole } from "../format";
import { t, tn } from "../language/words";
import type { RunState } from "../wire/run_state";

const SHORT: Partial<Record<RunState["phase"], () => string>> = {
  preparing: () => t("preparing"),
  paused: () => t("paused"),
  stopping: () => t("stopping after this micro-batch"),
  restoring: () => t("putting the model back"),
};

/** The sentence; "" before the first burst. */
export function statusLine(run: RunState): string {
  const known = (value: number | null): value is number => value !== null && Number.isFinite(value);
  if (run.phase === "loading")
    return [
      t("loading weights"),
      run.steps ? t("{step} / {steps} tensors", { step: run.step, steps: run.steps }) : "",
      known(run.eta_seconds) && run.step > 1 ? t("{time} left", { time: left(run.eta_seconds) }) : "",
    ]
      .filter(Boolean)
      .join(" · ");
  if (run.phase === "probing") return t("probing");
  if (run.phase === "comparing") return t("comparing");
  if (run.burst === 0 && run.phase !== "preparing") return "";
  const running = run.phase === "running" || run.phase === "paused";
  const parts = [SHORT[run.phase]?.() ?? "", t("step {step} / {steps}", { step: run.step, steps: run.steps })];
  if (known(run.seconds_per_step)) parts.push(t("{time}/step", { time: seconds(run.seconds_per_step) }));
  if (running && known(run.eta_seconds)) parts.push(t("{time} left", { time: left(run.eta_seconds) }));
  if (known(run.tokens_per_second)) parts.push(t("{count} tok/s", { count: whole(run.tokens_per_second) }));
  if (known(run.memory_bytes))
    parts.push(
      known(run.estimate_bytes)
        ? t("peak {size} (est. {estimate})", { size: size(run.memory_bytes), estimate: size(run.estimate_bytes) })
        : t("peak {size}", { size: size(run.memory_bytes) }),
    );
  if (run.skipped)
    parts.push(tn(run.skipped, "{n} batch without labels skipped", "{n} batches without labels skipped"));
  return parts.filter(Boolean).join(" · ");
}

/** Time that is left is a guess: whole seconds are enough. */
function left(value: number): string {
  return value < 10 ? t("{value} s", { value: Math.floor(value) }) : seconds(value);
}
