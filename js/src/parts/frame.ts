/**
 * Painting at the screen's pace: many requests, one call per animation frame, none while the element cannot be seen. What was
 * asked for off screen is done when the element comes into view.
 */

const LOOK_AGAIN = 400; // ms

export interface Frame {
  /** Asks for one call in the next frame. */
  request(): void;
}

export function frame(element: Element, paint: () => void, signal: AbortSignal): Frame {
  let asked = 0;
  let owed = false;
  let later: ReturnType<typeof setTimeout> | undefined;
  const visible = (): boolean => element.isConnected && (element.checkVisibility?.({ contentVisibilityAuto: true }) ?? true);
  const request = (): void => {
    if (asked || signal.aborted) return;
    asked = requestAnimationFrame(() => {
      asked = 0;
      owed = !visible();
      if (!owed && !signal.aborted) paint();
      // A host that hides the page for a moment (JupyterLab while it changes its theme) sends no event when it shows it again.
      if (owed) later = setTimeout(request, LOOK_AGAIN);
    });
  };
  const watcher = typeof IntersectionObserver === "undefined" ? null : new IntersectionObserver(() => owed && request());
  watcher?.observe(element);
  const onVisible = (): void => {
    if (owed) request();
  };
  element.ownerDocument.addEventListener("visibilitychange", onVisible, { signal });
  element.addEventListener("contentvisibilityautostatechange", onVisible, { signal });
  signal.addEventListener("abort", () => {
    cancelAnimationFrame(asked);
    clearTimeout(later);
    watcher?.disconnect();
  });
  return { request };
}

/** Calls back with the width of an element whenever it changes; hosts set it to 0 off screen, which is ignored. */
export function onWidth(element: Element, callback: (width: number) => void, signal: AbortSignal): void {
  if (typeof ResizeObserver === "undefined") return;
  let last = 0;
  const observer = new ResizeObserver((entries) => {
    const width = Math.round(entries[entries.length - 1]?.contentRect.width ?? 0);
    if (width === 0 || width === last) return;
    last = width;
    callback(width);
  });
  observer.observe(element);
  signal.addEventListener("abort", () => observer.disconnect());
}
