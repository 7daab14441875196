/** Where the burst is, in words and as a bar: "step 34 / 50 · 0.41 s/step · 6 s left · 6,240 tok/s · peak 21.1 GB". */
import { seconds, size, whole } from "../format";
import type { RunState } from "../wire/run_state";

const SHORT: Partial<Record<RunState["phase"], string>> = { preparing: "preparing", paused: "paused", stopping: "stopping after this micro-batch", restoring: "putting the model back" };

/** The sentence; "" before the first burst. */
export function statusLine(run: RunState): string {
  const known = (value: number | null): value is number => value !== null && Number.isFinite(value);
  if (run.phase === "loading") return ["loading weights", run.steps ? `${run.step} / ${run.steps} tensors` : "", known(run.eta_seconds) && run.step > 1 ? `${left(run.eta_seconds)} left` : ""].filter(Boolean).join(" · ");
  if (run.phase === "probing") return "probing";
  if (run.burst === 0 && run.phase !== "preparing") return "";
  const running = run.phase === "running" || run.phase === "paused";
  const parts = [SHORT[run.phase] ?? "", `step ${run.step} / ${run.steps}`];
  if (known(run.seconds_per_step)) parts.push(`${seconds(run.seconds_per_step)}/step`);
  if (running && known(run.eta_seconds)) parts.push(`${left(run.eta_seconds)} left`);
  if (known(run.tokens_per_second)) parts.push(`${whole(run.tokens_per_second)} tok/s`);
  if (known(run.memory_bytes)) parts.push(`peak ${size(run.memory_bytes)}${known(run.estimate_bytes) ? ` (est. ${size(run.estimate_bytes)})` : ""}`);
  if (run.skipped) parts.push(`${run.skipped} batch${run.skipped === 1 ? "" : "es"} without labels skipped`);
  return parts.filter(Boolean).join(" · ");
}

/** Time that is left is a guess: whole seconds are enough. */
function left(value: number): string {
  return value < 10 ? `${Math.floor(value)} s` : seconds(value);
}
