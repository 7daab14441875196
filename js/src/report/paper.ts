/** For paper, what is drawn becomes a picture as wide as the sheet: a canvas keeps its pixels' width, one whose size changes is emptied,
 * and nothing paints while a page is printed. Colours are the page's own rules' affair. */
import { h } from "../parts/dom";

const CLASS = "vf-paper";

/** From now on, until the signal aborts. */
export function onPaper(page: Document, signal?: AbortSignal): void {
  const view = page.defaultView;
  view?.addEventListener("beforeprint", () => pictures(page), { signal });
  view?.addEventListener("afterprint", () => restore(page), { signal });
}

function pictures(page: Document): void {
  restore(page);
  for (const holder of new Set([...page.querySelectorAll("canvas")].map((canvas) => canvas.parentElement))) {
    const layers = [...(holder?.querySelectorAll<HTMLCanvasElement>(":scope > canvas") ?? [])].filter(
      (canvas) => canvas.width && canvas.height,
    );
    if (!holder || !layers[0]) continue;
    holder.classList.add(CLASS);
    holder.prepend(h("img", { class: CLASS, src: together(layers[0], layers), alt: "" }));
  }
}

/** Canvases that lie on each other, as one picture. */
function together(first: HTMLCanvasElement, layers: readonly HTMLCanvasElement[]): string {
  const sheet = first.ownerDocument.createElement("canvas");
  [sheet.width, sheet.height] = [first.width, first.height];
  for (const layer of layers) sheet.getContext("2d")?.drawImage(layer, 0, 0);
  return sheet.toDataURL();
}

function restore(page: Document): void {
  page.querySelectorAll(`img.${CLASS}`).forEach((picture) => picture.remove());
  page.querySelectorAll(`.${CLASS}`).forEach((holder) => holder.classList.remove(CLASS));
}
