/** What the parts of one view share: the page's state, the root element, how to speak to a screen reader, when it all ends. */
import type { Page } from "../model/page";
import type { MapState } from "../map/map_state";
import { readPalette, type Palette } from "./palette";
import { h } from "./dom";
import { errorShelf } from "./error_shelf";

export interface View {
  page: Page;
  root: HTMLElement;
  signal: AbortSignal;
  /** Errors; the widget puts them where the person looks, else they are at its end. */
  shelf: HTMLElement;
  /** Says something politely to a screen reader. */
  announce: (text: string) => void;
  /** The colours of the present theme. */
  palette: () => Palette;
  /** Calls back when the theme has changed. */
  onTheme: (callback: () => void) => void;
  /** Where this view was left when it was drawn before. */
  left: { map?: MapState; tour?: { step: number; held: boolean } };
}

let nextId = 1;
const STYLE_WAIT = 50; // ms
const STYLE_LOOKS = 200; // after ten seconds no style sheet will come

/** An id for ARIA references, unique on the page. */
export function uniqueId(name: string): string {
  return `vf-${name}-${nextId++}`;
}

export function makeView(
  page: Page,
  root: HTMLElement,
  signal: AbortSignal,
  left: View["left"] = {},
): View & { themeChanged: () => void } {
  const region = h("div.vf-sr", { "aria-live": "polite", role: "status" });
  root.append(region);
  const callbacks: (() => void)[] = [];
  let palette: Palette | null = null;
  let waiting = false;
  let looks = 0;
  const repaint = (): void => {
    palette = null;
    for (const callback of callbacks) callback();
  };
  // The host may run render() before it has put the style sheet in: paint with stand-ins, and again when it is there.
  const look = (): void => {
    if (signal.aborted || ++looks > STYLE_LOOKS) return;
    if (readPalette(root).styled) {
      waiting = false;
      repaint();
    } else setTimeout(look, STYLE_WAIT);
  };
  const read = (): Palette => {
    const found = readPalette(root);
    if (found.styled) palette = found;
    else if (!waiting) {
      waiting = true;
      setTimeout(look, STYLE_WAIT);
    }
    return found;
  };
  return {
    page,
    root,
    signal,
    shelf: errorShelf(page, signal),
    left,
    announce: (text) => (region.textContent = text),
    palette: () => palette ?? read(),
    onTheme: (callback) => callbacks.push(callback),
    themeChanged: repaint,
  };
}
