/** After a burst: keep what was trained, or put the model back. Putting back is the safe choice and the one that is offered first. */
import { t } from "../language/words";
import { h, say } from "../parts/dom";
import type { View } from "../parts/view";

const OUTCOMES = {
  kept: () => t("Kept: the model now holds the trained values."),
  discarded: () => t("Discarded: the model is bit-identical to before."),
};

export function decision(view: View): HTMLElement {
  const { page } = view;
  const keep = h("button.vf-button", { type: "button", onclick: () => void page.request("keep") }, t("Keep"));
  const discard = h(
    "button.vf-button.vf-primary",
    { type: "button", "data-act": "discard", onclick: () => void page.request("discard") },
    t("Discard (restore)"),
  );
  const text = h("span.vf-muted", { role: "status" });
  const element = h("div.vf-decision", {}, keep, discard, text);
  const draw = (): void => {
    const { run } = page;
    const deciding = run?.phase === "deciding";
    keep.hidden = discard.hidden = !deciding && run?.phase !== "restoring";
    keep.disabled = discard.disabled = !deciding || !page.alive;
    say(
      text,
      deciding
        ? t("after Discard the model will be bit-identical to before")
        : run?.outcome && run.phase !== "running"
          ? OUTCOMES[run.outcome]()
          : "",
    );
    element.hidden = !deciding && !text.textContent;
  };
  draw();
  page.on(["run", "connection"], draw, view.signal);
  return element;
}
