/** "Does it train?": Python's verdict for each component, with a mark that needs no colour. */
import { t, tn } from "../language/words";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";

const MARKS = { ok: "✓", warning: "!", failure: "✗", pending: "…" };
const WORDS = {
  ok: () => t("yes"),
  warning: () => t("warning"),
  failure: () => t("no"),
  pending: () => t("not known yet"),
};

export function verdicts(view: View): HTMLElement {
  const { page } = view;
  const note = h("span.vf-muted");
  const rows = h("ul");
  const element = h(
    "section.vf-verdicts",
    { "aria-label": t("Does it train?") },
    h("h3", {}, h("b", {}, t("does it train?")), " ", note),
    rows,
  );
  let last = "";
  const draw = (): void => {
    const { run } = page;
    const key = JSON.stringify([run?.verdicts, run?.verdict_after]);
    if (key === last) return;
    last = key;
    const after = run?.verdict_after;
    note.textContent = after ? tn(after, "after {n} step", "after {n} steps") : "";
    element.hidden = !run?.verdicts.length;
    fill(
      rows,
      ...(run?.verdicts ?? []).map((v) =>
        h(
          "li",
          { "data-status": v.status },
          h("i", { "aria-hidden": "true" }, MARKS[v.status]),
          h("div", {}, h("b", {}, v.label), " ", h("span.vf-sr", {}, `${WORDS[v.status]()}: `), v.text),
        ),
      ),
    );
  };
  draw();
  page.on(["run"], draw, view.signal);
  return element;
}
