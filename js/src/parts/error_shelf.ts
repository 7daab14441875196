/** Errors, under the widget where the person looks; each can be dismissed. */
import { t } from "../language/words";
import { h } from "./dom";
import { errorCard } from "./error_card";
import { icon } from "./icons";
import type { View } from "./view";
import type { ErrorParts } from "../wire/run_state";

export function errorShelf(view: View): HTMLElement {
  const { page } = view;
  const element = h("section.vf-errors", { "aria-label": t("Errors"), role: "alert", hidden: true });
  const cards = new Map<ErrorParts, HTMLElement>();
  const draw = (): void => {
    for (const error of page.errors) if (!cards.has(error)) cards.set(error, card(error));
    for (const error of [...cards.keys()]) if (!page.errors.includes(error)) cards.delete(error);
    element.replaceChildren(...page.errors.map((error) => cards.get(error) as HTMLElement));
    element.hidden = !page.errors.length;
  };

  function card(error: ErrorParts): HTMLElement {
    return errorCard(error, h("button.vf-iconbutton", { type: "button", "aria-label": t("Dismiss"), title: t("Dismiss"), onclick: () => page.dismiss(error) }, icon("close")));
  }

  draw();
  page.on(["errors"], draw, view.signal);
  return element;
}
