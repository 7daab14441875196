/** A minimal publisher: who changed what is a word, who listens goes away with a signal. State lives elsewhere. */

export class Topics<T extends string> {
  #listeners = new Map<T, Set<() => void>>();

  /** Calls back after each `emit` of one of the topics, until the signal aborts. */
  on(topics: readonly T[], callback: () => void, signal?: AbortSignal): void {
    if (signal?.aborted) return;
    for (const topic of topics) {
      const set = this.#listeners.get(topic) ?? new Set();
      this.#listeners.set(topic, set.add(callback));
      signal?.addEventListener("abort", () => set.delete(callback), { once: true });
    }
  }

  /** One listener that fails must not keep the others from hearing. */
  emit(topic: T): void {
    for (const callback of [...(this.#listeners.get(topic) ?? [])]) {
      try {
        callback();
      } catch (error) {
        console.error("vlmfreeze:", error);
      }
    }
  }
}
