/**
 * What a person has typed, opened, chosen and focused, taken over when the same page is drawn anew (in another language, or when the
 * weights of its model have come). Places are counted: the n-th field before is the n-th field after, in the document's order. Text
 * that was typed is told to its field as typing is, so that what depends on it follows.
 */

const FIELDS = "input:not([type=file], [type=checkbox], [type=radio]), textarea, select";
const OPENERS = "button[aria-expanded]:not([aria-haspopup=menu], [aria-haspopup=dialog])";
const FOCUSABLE = "button, input, textarea, select, summary, [tabindex], a[href]";

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

/** Looks at what is there; the function that comes back does the same to what is there then. */
export function keep(root: HTMLElement): () => void {
  const all = <T extends Element>(selector: string): T[] => [...root.querySelectorAll<T>(selector)];
  const values = all<Field>(FIELDS).map((field) => [field.value, field.hidden] as const);
  const open = all<HTMLElement>(OPENERS).map((button) => button.getAttribute("aria-expanded") === "true");
  const details = all<HTMLDetailsElement>("details").map((element) => element.open);
  const tabs = all<HTMLElement>("[role=tab]").map((tab) => tab.getAttribute("aria-selected") === "true");
  const active = (root.getRootNode() as Document | ShadowRoot).activeElement;
  const focused = active && root.contains(active) ? all(FOCUSABLE).indexOf(active) : -1;
  const height = root.offsetHeight;
  root.style.minHeight = `${height}px`; // the host's scroll position stays while the page is empty

  return () => {
    root.style.minHeight = "";
    // In the document's order: what one opens may hold the next.
    open.forEach((was, i) => {
      const button = all<HTMLElement>(OPENERS)[i];
      if (was && button?.getAttribute("aria-expanded") === "false") button.click();
    });
    tabs.forEach((was, i) => {
      const tab = all<HTMLElement>("[role=tab]")[i];
      if (was && tab?.getAttribute("aria-selected") === "false" && tabs.length === all("[role=tab]").length)
        tab.click();
    });
    details.forEach((was, i) => {
      const element = all<HTMLDetailsElement>("details")[i];
      if (element) element.open = was;
    });
    values.forEach(([value, hidden], i) => {
      const field = all<Field>(FIELDS)[i];
      if (!field || hidden || field.hidden || field.value === value) return;
      field.value = value;
      field.dispatchEvent(new Event(field instanceof HTMLSelectElement ? "change" : "input"));
    });
    if (focused >= 0) all<HTMLElement>(FOCUSABLE)[focused]?.focus({ preventScroll: true });
  };
}
