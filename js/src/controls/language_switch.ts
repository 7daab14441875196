/** English / 中文 in the header. Each language is named in itself, so that whoever reads only one of them finds it. */
import { h } from "../parts/dom";
import type { View } from "../parts/view";
import { choose } from "../language/choice";
import { spoken, t, type Language } from "../language/words";

const NAMES: readonly [Language, string, string][] = [
  ["en", "EN", "English"],
  ["zh", "中文", "中文"],
];

export function languageSwitch({ root }: View): HTMLElement {
  const buttons = NAMES.map(([language, short, name]) =>
    h(
      "button.vf-iconbutton.vf-language",
      {
        type: "button",
        lang: language,
        title: name,
        "aria-label": name,
        "aria-pressed": String(spoken() === language),
        onclick: () => choose(language, root.ownerDocument),
      },
      short,
    ),
  );
  return h("div.vf-switch", { role: "group", "aria-label": t("Language") }, ...buttons);
}
