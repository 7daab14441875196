/**
 * Light or dark, as the host is: read from its marks on <body> and <html>, from the brightness of its background, or from the
 * system. The host's document is only read. The colours themselves are custom properties in `style/tokens.css`.
 */
import type { Options } from "../base/host";

export type Theme = "light" | "dark";

/** What the host shows now. */
export function hostTheme(doc: Document): Theme {
  const body = doc.body as HTMLElement | null;
  for (const element of [body, doc.documentElement]) {
    if (!element) continue;
    const { jpThemeLight, vscodeThemeKind, theme } = element.dataset;
    if (jpThemeLight) return jpThemeLight === "false" ? "dark" : "light";
    if (vscodeThemeKind) return /light/.test(vscodeThemeKind) ? "light" : "dark";
    if (theme === "dark" || theme === "light") return theme;
    const classes = element.classList;
    if (classes.contains("vscode-dark") || classes.contains("vscode-high-contrast")) return "dark";
    if (classes.contains("vscode-light")) return "light";
    if (classes.contains("dark") || classes.contains("dark-theme")) return "dark";
  }
  const styles = body && doc.defaultView?.getComputedStyle(body);
  const bright = brightness(styles?.getPropertyValue("--jp-layout-color0") ?? "");
  if (bright !== null) return bright < 0.5 ? "dark" : "light";
  return doc.defaultView?.matchMedia?.("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** 0 black to 1 white, of #rgb, #rrggbb or rgb(); null for anything else. */
export function brightness(colour: string): number | null {
  const text = colour.trim();
  const long = /^#([0-9a-f]{3})$/i.test(text) ? text.replace(/[0-9a-f]/gi, "$&$&") : text;
  const parts = /^#[0-9a-f]{6}$/i.test(long)
    ? [1, 3, 5].map((i) => parseInt(long.slice(i, i + 2), 16))
    : (/^rgba?\(([^)]+)\)/.exec(long)?.[1] ?? "")
        .split(/[\s,/]+/)
        .slice(0, 3)
        .map(Number);
  const [r, g, b] = parts;
  if (r === undefined || g === undefined || b === undefined || parts.some(Number.isNaN) || long === "") return null;
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}

/** Keeps `data-theme` of the page's own element right, and calls back when it changes. */
export function followTheme(
  root: HTMLElement,
  options: () => Options,
  changed: () => void,
  signal: AbortSignal,
): () => void {
  const doc = root.ownerDocument;
  const update = (): void => {
    const wanted = options().theme;
    const theme = wanted === "auto" ? hostTheme(doc) : wanted;
    if (root.dataset.theme === theme) return;
    root.dataset.theme = theme;
    changed();
  };
  update();
  const observer = new MutationObserver(update);
  const attributes = {
    attributes: true,
    attributeFilter: [
      "class",
      "data-jp-theme-light",
      "data-jp-theme-name",
      "data-vscode-theme-kind",
      "data-theme",
      "style",
    ],
  };
  for (const element of [doc.body, doc.documentElement]) observer.observe(element, attributes);
  doc.defaultView?.matchMedia?.("(prefers-color-scheme: dark)").addEventListener?.("change", update, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
  return update;
}
