/** Mounts a widget in jsdom on a fake model: what jsdom lacks (canvas, observers, frames) is stubbed here and only here. */
import { setMaxListeners } from "node:events";
import { vi } from "vitest";
import { FakeModel } from "../dev/fake_model";
import type { Widget } from "../src/base/host";
import { golden, type Golden } from "./golden";

export interface Mounted {
  el: HTMLElement;
  model: FakeModel;
  channel: FakeModel;
  end: AbortController;
  /** Requests of a name that the page has sent. */
  requests: (name: string) => Golden[];
  /** Python's answer to a request. */
  answer: (request: Golden, more?: Golden) => void;
  find: <T extends HTMLElement = HTMLElement>(selector: string) => T;
}

setMaxListeners(0); // a page listens with one signal in many places

/** A context on which every method does nothing but note the texts that are painted. */
function context(canvas: HTMLCanvasElement, painted: string[]): CanvasRenderingContext2D {
  const known: Record<string | symbol, unknown> = {
    canvas,
    measureText: (text: string) => ({ width: text.length * 6 }),
    fillText: (text: string) => painted.push(text),
  };
  return new Proxy(known, {
    get: (target, key) => (key in target ? target[key] : () => undefined),
    set: (target, key, value) => ((target[key] = value), true),
  }) as unknown as CanvasRenderingContext2D;
}

export function stubBrowser(width = 700, height = 430, painted: string[] = []): void {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(function (this: HTMLCanvasElement) {
    return context(this, painted);
  });
  vi.stubGlobal("requestAnimationFrame", (callback: FrameRequestCallback) =>
    setTimeout(() => callback(performance.now()), 0),
  );
  vi.stubGlobal("cancelAnimationFrame", (id: number) => clearTimeout(id));
  vi.stubGlobal(
    "ResizeObserver",
    class {
      constructor(readonly callback: ResizeObserverCallback) {}
      observe(target: Element): void {
        this.callback([{ target, contentRect: { width, height } } as ResizeObserverEntry], this);
      }
      disconnect(): void {}
      unobserve(): void {}
    },
  );
  vi.stubGlobal("Path2D", class {});
  Object.defineProperty(HTMLElement.prototype, "clientHeight", { configurable: true, get: () => height });
  Object.defineProperty(HTMLElement.prototype, "clientWidth", { configurable: true, get: () => width });
}

export function traits(change: Golden = {}): Golden {
  return {
    commands: "anywidget:commands-1",
    tree_state: golden("state_tree"),
    plan_state: golden("state_plan"),
    run_state: { ...golden("state_run"), phase: "idle", burst: 0, rows: 0, can_run: true, why_not: null, verdicts: [] },
    handover_state: golden("state_handover"),
    options: { height: 430, theme: "light" },
    ...change,
  };
}

let count = 0;

export async function mount(widget: Widget, change: Golden = {}): Promise<Mounted> {
  const model = new FakeModel({ ...traits(change), commands: `anywidget:commands-${++count}` });
  const channel = new FakeModel({});
  const end = new AbortController();
  const el = document.createElement("div");
  document.body.append(el);
  widget.initialize({ model, signal: end.signal });
  widget.render?.({ model, el, signal: end.signal, host: { getModel: () => Promise.resolve(channel) } });
  await settle();
  return {
    el,
    model,
    channel,
    end,
    requests: (name) => (channel.sent as Golden[]).filter((request) => request.name === name),
    answer: (request, more = {}) =>
      channel.message({ v: 1, kind: "reply", id: request.id, ok: true, rev: request.rev, result: {}, ...more }),
    find: <T extends HTMLElement>(selector: string) => {
      const found = el.querySelector<T>(selector);
      if (!found) throw new Error(`nothing matches ${selector}`);
      return found;
    },
  };
}

/** Lets promises and frames run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((done) => setTimeout(done, 2));
}

export function press(element: Element, key: string, more: KeyboardEventInit = {}): void {
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
}
