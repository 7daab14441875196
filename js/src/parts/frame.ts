/**
 * Painting at the screen's pace: many requests, one call per animation frame, none while the element is not rendered. What was
 * asked for meanwhile is done when it is rendered again; until then nothing runs, so a page at rest costs nothing.
 */

export interface Frame {
  /** Asks for one call in the next frame. */
  request(): void;
}

export function frame(element: Element, paint: () => void, signal: AbortSignal): Frame {
  let asked = 0;
  let stopWaiting: (() => void) | null = null;
  const rendered = (): boolean =>
    element.isConnected && (element.checkVisibility?.({ contentVisibilityAuto: true }) ?? true);
  const request = (): void => {
    if (asked || signal.aborted) return;
    asked = requestAnimationFrame(() => {
      asked = 0;
      stopWaiting?.();
      stopWaiting = null;
      if (signal.aborted) return;
      if (rendered()) paint();
      else stopWaiting = whenShown(element, () => rendered() && request());
    });
  };
  signal.addEventListener("abort", () => {
    cancelAnimationFrame(asked);
    stopWaiting?.();
  });
  return { request };
}

/**
 * Calls back when an element that is not rendered may be again. A fresh observer tells first how things are now, so an element that
 * a host hides and shows between two frames (JupyterLab while it changes its theme) is not missed. The one observer sees what is
 * shown off screen, the other what `content-visibility` had left out.
 */
function whenShown(element: Element, callback: () => void): () => void {
  const observers: { observe(target: Element): void; disconnect(): void }[] = [];
  if (typeof ResizeObserver !== "undefined") observers.push(new ResizeObserver(callback));
  if (typeof IntersectionObserver !== "undefined") observers.push(new IntersectionObserver(callback));
  for (const observer of observers) observer.observe(element);
  return () => observers.forEach((observer) => observer.disconnect());
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
