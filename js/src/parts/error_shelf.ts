/** Errors, under the widget where the person looks: what, expected and found, what to do, and the traceback to unfold. */
import { h } from "./dom";
import { icon } from "./icons";
import type { View } from "./view";
import type { ErrorParts } from "../wire/run_state";

export function errorShelf(view: View): HTMLElement {
  const { page } = view;
  const element = h("section.vf-errors", { "aria-label": "Errors", role: "alert", hidden: true });
  const cards = new Map<ErrorParts, HTMLElement>();
  const draw = (): void => {
    for (const error of page.errors) if (!cards.has(error)) cards.set(error, card(error));
    for (const error of [...cards.keys()]) if (!page.errors.includes(error)) cards.delete(error);
    element.replaceChildren(...page.errors.map((error) => cards.get(error) as HTMLElement));
    element.hidden = !page.errors.length;
  };

  function card(error: ErrorParts): HTMLElement {
    // Messages of this package contain their parts already; say each thing once.
    const parts = [
      ["Expected", error.expected],
      ["Found", error.found],
      ["What to do", error.remedy],
    ].filter((part): part is [string, string] => !!part[1] && !error.message.includes(part[1]));
    return h(
      "div.vf-error",
      {},
      icon("refusal"),
      h(
        "div",
        {},
        h("b", {}, error.message),
        parts.length ? h("dl", {}, ...parts.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])) : null,
        error.traceback ? h("details", {}, h("summary", {}, "Traceback"), h("pre", { tabindex: "0" }, error.traceback)) : null,
      ),
      h("button.vf-iconbutton", { type: "button", "aria-label": "Dismiss", title: "Dismiss", onclick: () => page.dismiss(error) }, icon("close")),
    );
  }

  draw();
  page.on(["errors"], draw, view.signal);
  return element;
}
