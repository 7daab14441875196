/**
 * The keyboard stays on a row of buttons of which one takes the other's place: where the button that it is on goes away, the next
 * sensible one gets it. Where a whole view is built anew (the weights were loaded), the new one goes on.
 */

/** Roots of views whose keyboard waits for a button, and in which row. */
const waiting = new WeakMap<HTMLElement, string>();

/**
 * `row` tells rows of one view apart. `order` gives the buttons that may follow, the most sensible first. The function that comes back is called after each change of what
 * is hidden and disabled.
 */
export function keepFocus(
  row: string,
  root: HTMLElement,
  parts: readonly HTMLElement[],
  order: () => readonly HTMLElement[],
  signal: AbortSignal,
): () => void {
  let held: HTMLElement | null = null;
  const holds = (target: EventTarget | null): target is HTMLElement =>
    target instanceof HTMLElement &&
    target.matches("button, input, select") &&
    parts.some((part) => part.contains(target));
  root.addEventListener(
    "focusin",
    ({ target }) => {
      held = holds(target) ? target : null;
      waiting.delete(root);
    },
    { signal },
  );
  // Of a button that goes away the browser takes the focus, too: then it is still wanted here.
  root.addEventListener(
    "focusout",
    ({ target }) => {
      if (target === held && held && usable(held)) held = null;
    },
    { signal },
  );
  return () => {
    if (elsewhere(root, held)) return;
    if (waiting.get(root) !== row && (!held || usable(held))) return;
    const next = order().find(usable);
    if (next) next.focus();
    else waiting.set(root, row);
  };
}

/** Whether the person is at something else by now, on this page or beside it. */
function elsewhere(root: HTMLElement, held: HTMLElement | null): boolean {
  const tree = root.getRootNode() as Document | ShadowRoot;
  const inside = tree.activeElement;
  if (inside && inside !== held && inside !== root.ownerDocument.body) return true;
  const there = root.ownerDocument.activeElement;
  return "host" in tree && !!there && there !== tree.host && there !== root.ownerDocument.body;
}

function usable(element: HTMLElement): boolean {
  return element.isConnected && !element.closest("[hidden]") && !(element as HTMLButtonElement).disabled;
}
