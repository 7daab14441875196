/** What a host (JupyterLab, Notebook, marimo, VS Code, Colab, our own page) gives a widget, as far as we use it. Types only. */

export interface Model {
  get(key: string): unknown;
  send(content: unknown): void;
  on(event: string, callback: (...args: unknown[]) => void): void;
  off(event: string, callback: (...args: unknown[]) => void): void;
  set?(key: string, value: unknown): void;
  save_changes?(): void;
  widget_manager?: { get_model?: (id: string) => Promise<unknown>; kernel?: unknown };
}

export interface Host {
  getModel(ref: string): Promise<Model>;
}

export interface InitializeProps {
  model: Model;
  signal?: AbortSignal;
}

export interface RenderProps extends InitializeProps {
  el: HTMLElement;
  host?: Host;
}

/** The default export of an entry. */
export interface Widget {
  initialize(props: InitializeProps): void;
  render?(props: RenderProps): void | (() => void);
}

/** The trait `options`. */
export interface Options {
  height: number;
  theme: "auto" | "light" | "dark";
  language: "auto" | "en" | "zh";
  /** The language of the texts that Python writes; null where it does not say. */
  words: "en" | "zh" | null;
  /** Whether a first visit is offered a tour. */
  tour: boolean;
  /** Which static picture stands beside the view, for when there is none; empty where there is none. */
  picture: string;
}

export function readOptions(value: unknown, height: number): Options {
  const o = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const theme = o.theme === "light" || o.theme === "dark" ? o.theme : "auto";
  // Of a saved notebook, perhaps a stranger's: it becomes part of a selector, so it is a plain number in hex or nothing.
  const picture = typeof o.picture === "string" && /^[0-9a-f]{8,32}$/.test(o.picture) ? o.picture : "";
  const language = o.language === "en" || o.language === "zh" ? o.language : "auto";
  const words = o.words === "en" || o.words === "zh" ? o.words : null;
  return {
    language,
    words,
    tour: o.tour === true,
    height: typeof o.height === "number" && o.height > 0 ? o.height : height,
    theme,
    picture,
  };
}

/** Whether an element is shown by marimo, whose cells run again when the page itself changes a trait. */
export function isInMarimo(el: Node): boolean {
  for (let node: Node | null = el; node; node = node.parentNode ?? (node as Partial<ShadowRoot>).host ?? null) {
    if (node.nodeName.startsWith("MARIMO-")) return true;
  }
  return false;
}

/** Adds a listener that goes with the signal. */
export function listen(
  model: Model,
  event: string,
  callback: (...args: unknown[]) => void,
  signal?: AbortSignal,
): void {
  if (signal?.aborted) return;
  model.on(event, callback);
  signal?.addEventListener("abort", () => model.off(event, callback), { once: true });
}
