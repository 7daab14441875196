/** What the parts of one view share: the page's state, the root element, how to speak to a screen reader, when it all ends. */
import type { Page } from "../model/page";
import { readPalette, type Palette } from "../map/palette";
import { h } from "./dom";

export interface View {
  page: Page;
  root: HTMLElement;
  signal: AbortSignal;
  /** Says something politely to a screen reader. */
  announce: (text: string) => void;
  /** The colours of the present theme. */
  palette: () => Palette;
  /** Calls back when the theme has changed. */
  onTheme: (callback: () => void) => void;
}

let nextId = 1;

/** An id for ARIA references, unique on the page. */
export function uniqueId(name: string): string {
  return `vf-${name}-${nextId++}`;
}

export function makeView(page: Page, root: HTMLElement, signal: AbortSignal): View & { themeChanged: () => void } {
  const region = h("div.vf-sr", { "aria-live": "polite", role: "status" });
  root.append(region);
  const callbacks: (() => void)[] = [];
  let palette: Palette | null = null;
  return {
    page,
    root,
    signal,
    announce: (text) => (region.textContent = text),
    palette: () => (palette ??= readPalette(root)),
    onTheme: (callback) => callbacks.push(callback),
    themeChanged: () => {
      palette = null;
      for (const callback of callbacks) callback();
    },
  };
}
