/** An in-memory stand-in for anywidget's model: traits, events, custom messages. The kernel behind it is `fake_kernel.ts`. */
import type { Model } from "../src/base/host";

export class FakeModel implements Model {
  readonly sent: unknown[] = [];
  /** Gets what the page sends. */
  onSend: (content: unknown) => void = () => undefined;
  #traits: Record<string, unknown>;
  #listeners = new Map<string, Set<(...args: unknown[]) => void>>();

  constructor(traits: Record<string, unknown>) {
    this.#traits = traits;
  }

  get(key: string): unknown {
    return this.#traits[key];
  }

  set(key: string, value: unknown): void {
    this.#traits[key] = value;
    this.trigger(`change:${key}`);
  }

  send(content: unknown): void {
    this.sent.push(content);
    this.onSend(structuredClone(content));
  }

  on(event: string, callback: (...args: unknown[]) => void): void {
    const set = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, set.add(callback));
  }

  off(event: string, callback: (...args: unknown[]) => void): void {
    this.#listeners.get(event)?.delete(callback);
  }

  trigger(event: string, ...args: unknown[]): void {
    for (const callback of [...(this.#listeners.get(event) ?? [])]) callback(...args);
  }

  /** A custom message from the kernel. */
  message(content: unknown, buffers: DataView[] = []): void {
    this.trigger("msg:custom", content, buffers);
  }
}
