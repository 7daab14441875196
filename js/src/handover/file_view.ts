/** One file of an export as text, to unfold where there are many, with a button that copies it. */
import { t } from "../language/words";
import { h, say } from "../parts/dom";
import { copyText } from "../parts/copy";
import type { View } from "../parts/view";

const SAID_MS = 2000;

export function fileView(view: View, file: { name: string; text: string }, folded: boolean): HTMLElement {
  const copy = h(
    "button.vf-button.vf-small",
    {
      type: "button",
      "aria-label": t("Copy {name}", { name: file.name }),
      onclick: (event) => (event.preventDefault(), void take()),
    },
    t("Copy"),
  );

  async function take(): Promise<void> {
    const done = await copyText(file.text, copy);
    say(copy, done ? t("Copied") : t("Select and copy by hand"));
    view.announce(
      done ? t("{name} copied", { name: file.name }) : t("{name} could not be copied", { name: file.name }),
    );
    setTimeout(() => say(copy, t("Copy")), SAID_MS);
  }

  const content = h("pre", { tabindex: "0", "aria-label": file.name }, file.text);
  if (folded) return h("details.vf-file", {}, h("summary", {}, h("b", {}, file.name), copy), content);
  return h("figure.vf-file", {}, h("figcaption", {}, h("b", {}, file.name), copy), content);
}
