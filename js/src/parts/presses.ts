/**
 * Clicks that are not lost: a browser sends no click to an element that went away between press and release, and during a
 * burst lists are built anew ten times a second. So what holds the pressed element stays until the pointer is up.
 */

let pressed: Node | null = null;
/** What was to be built meanwhile; only the last of each element counts. */
const waiting = new Map<Element, () => void>();

/** Notes presses below an element until the signal aborts. */
export function watchPresses(root: HTMLElement, signal: AbortSignal): void {
  root.addEventListener("pointerdown", (event) => (pressed = (event.composedPath()[0] ?? event.target) as Node), {
    capture: true,
    signal,
  });
  // What the click itself builds is there at once.
  root.addEventListener("click", () => (pressed = null), { capture: true, signal });
  const over = (): void => {
    if (pressed || waiting.size) setTimeout(release); // the click comes after the pointer is up, in the same task
  };
  for (const name of ["pointerup", "pointercancel", "dragend"])
    window.addEventListener(name, over, { capture: true, signal });
  window.addEventListener("blur", over, { signal });
  signal.addEventListener("abort", release);
}

/** Runs `build` on what an element holds: now, or after the press on something in it. */
export function afterPress(element: Element, build: () => void): void {
  if (pressed?.isConnected && pressed !== element && element.contains(pressed)) {
    waiting.set(element, build);
    return;
  }
  forget(element);
  build();
}

/** What was to be built in an element no longer is. */
export function forget(element: Element): void {
  waiting.delete(element);
}

function release(): void {
  pressed = null;
  const builds = [...waiting.values()];
  waiting.clear();
  for (const build of builds) build();
}
