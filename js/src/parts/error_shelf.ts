/** Errors; each can be dismissed. Where they stand is the widget's affair. */
import { t } from "../language/words";
import { fill, h } from "./dom";
import { errorCard } from "./error_card";
import { icon } from "./icons";
import type { Page } from "../model/page";
import type { ErrorParts } from "../wire/run_state";

export function errorShelf(page: Page, signal: AbortSignal): HTMLElement {
  const element = h("section.vf-errors", { "aria-label": t("Errors"), role: "alert", hidden: true });
  const cards = new Map<ErrorParts, HTMLElement>();
  const draw = (): void => {
    // What is advised after a lack of memory says it already.
    if (page.advice) for (const error of page.errors) if (error.code === "out-of-memory") return page.dismiss(error);
    for (const error of page.errors) if (!cards.has(error)) cards.set(error, card(error));
    for (const error of [...cards.keys()]) if (!page.errors.includes(error)) cards.delete(error);
    fill(element, ...page.errors.map((error) => cards.get(error)));
    element.hidden = !page.errors.length;
  };

  function card(error: ErrorParts): HTMLElement {
    return errorCard(
      error,
      h(
        "button.vf-iconbutton",
        { type: "button", "aria-label": t("Dismiss"), title: t("Dismiss"), onclick: () => page.dismiss(error) },
        icon("close"),
      ),
    );
  }

  draw();
  page.on(["errors", "advice"], draw, signal);
  return element;
}
