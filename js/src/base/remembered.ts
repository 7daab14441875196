/** What a browser remembers of a person between visits: the language and whether the tour was declined, under one key of the
 * host's storage. Nothing of a model or a run is kept. Storage may be forbidden (private windows, sandboxed frames). */
import { record, type Loose } from "./loose";

export const KEY = "vlmfreeze-widgets";

/** What is remembered; null where nothing can be. */
export function remembered(view: Window | null): Loose | null {
  try {
    return view ? record(JSON.parse(view.localStorage.getItem(KEY) ?? "{}")) : null;
  } catch {
    return null;
  }
}

/** Adds to what is remembered, where that is possible. */
export function remember(view: Window | null, change: Loose): void {
  try {
    view?.localStorage.setItem(KEY, JSON.stringify({ ...remembered(view), ...change }));
  } catch {
    // Then it holds until the page is closed.
  }
}
