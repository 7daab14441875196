/** What stands in for a host in a report: a model whose traits never change but for the theme on paper, and rows told once. */
import { readOptions, type Model, type Widget } from "../base/host";
import { followTheme } from "../parts/theme";
import { record } from "../base/loose";

export const PLOT_HEIGHT = 190;

type Listener = (...args: unknown[]) => void;

/** A model that holds what the page was written with. Nothing can be sent. */
export class StillModel implements Model {
  #listeners = new Map<string, Set<Listener>>();

  constructor(readonly traits: Record<string, unknown>) {}

  get(key: string): unknown {
    return this.traits[key];
  }

  send(): void {
    // Nobody is there.
  }

  on(event: string, callback: Listener): void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(callback));
  }

  off(event: string, callback: Listener): void {
    this.#listeners.get(event)?.delete(callback);
  }

  tell(event: string, ...args: unknown[]): void {
    for (const callback of [...(this.#listeners.get(event) ?? [])]) callback(...args);
  }
}

/** JSON with its bytes: an object that only holds "base64" is a view on them. */
export function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && entries[0]?.[0] === "base64" && typeof entries[0][1] === "string") {
    const text = atob(entries[0][1]);
    return new DataView(Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer);
  }
  return Object.fromEntries(entries.map(([name, inner]) => [name, revive(inner)]));
}

/** Shows the report's state in the place that the page has for it. */
export function openReport(widget: Widget, doc: Document = document): void {
  const place = doc.getElementById("vf-report");
  const text = doc.getElementById("vf-report-state")?.textContent;
  if (!place || !text) return;
  const state = record(revive(JSON.parse(text)));
  const model = new StillModel(record(state.traits));
  widget.initialize({ model });
  for (const message of Array.isArray(state.messages) ? state.messages : []) {
    const { content, buffer } = record(message);
    model.tell("msg:custom", content, [buffer]);
  }
  widget.render?.({ model, el: place });
  const sheet = place.closest<HTMLElement>("main");
  const retheme =
    sheet &&
    followTheme(
      sheet,
      () => readOptions(model.get("options"), 430),
      () => undefined,
      new AbortController().signal,
    );
  const theme = (wanted: string): void => {
    model.traits.options = { ...record(model.traits.options), theme: wanted };
    model.tell("change:options");
    retheme?.();
  };
  // Paper is white.
  doc.defaultView?.addEventListener("beforeprint", () => theme("light"));
  doc.defaultView?.addEventListener("afterprint", () => theme("auto"));
}
