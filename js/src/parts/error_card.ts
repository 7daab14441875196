/** What an error says: the message, what was expected and found, what to do, and the traceback to unfold. */
import { t } from "../language/words";
import type { ErrorParts } from "../wire/run_state";
import { h, type Child } from "./dom";
import { icon } from "./icons";

/** `more` stands at its end, such as a button that dismisses it. */
export function errorCard(error: ErrorParts, ...more: Child[]): HTMLElement {
  // Messages of this package contain their parts already; say each thing once.
  const parts = [
    [t("Expected"), error.expected],
    [t("Found"), error.found],
    [t("What to do"), error.remedy],
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
      error.traceback
        ? h("details", {}, h("summary", {}, t("Traceback")), h("pre", { tabindex: "0" }, error.traceback))
        : null,
    ),
    ...more,
  );
}
