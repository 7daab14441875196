/**
 * The greeting that makes Stop fast: JupyterLab delivers requests on a subshell only once it has one, so the page asks again,
 * 100 ms x attempt later and at most five times, until Python says that a subshell answered.
 */
import type { Client } from "./client";

export const ATTEMPTS = 5;
export const PAUSE_MS = 100;
const LAST_PAUSE_MS = 2000;

/** Greets; resolves with the subshell's name, or null when none answered. */
export async function hello(client: Client, signal?: AbortSignal): Promise<string | null> {
  let subshell: string | null = null;
  let found: () => void = () => undefined;
  const answered = new Promise<void>((resolve) => (found = resolve));
  const usable = (): boolean => client.connection === "opening" || client.connection === "live";
  for (let attempt = 1; attempt <= ATTEMPTS && subshell === null && usable() && !signal?.aborted; attempt++) {
    void client.ask("hello", { attempt }, 0).then((reply) => {
      if (reply.ok && typeof reply.result.subshell === "string") {
        subshell = reply.result.subshell;
        found();
      } else if (attempt === ATTEMPTS) found();
    });
    await Promise.race([
      answered,
      new Promise((resolve) => setTimeout(resolve, attempt < ATTEMPTS ? PAUSE_MS * attempt : LAST_PAUSE_MS)),
    ]);
  }
  return subshell;
}
