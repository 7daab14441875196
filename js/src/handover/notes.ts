/** Notes about a trainer, in plain words; an issue that documents one is a link to GitHub and to nowhere else. */
import { t } from "../language/words";
import { h } from "../parts/dom";
import type { Words } from "../wire/handover";

export function noteList(notes: readonly Words[][]): HTMLElement | null {
  return notes.length
    ? h("ul.vf-notes", { "aria-label": t("Notes") }, ...notes.map((note) => h("li", {}, ...note.map(noteWords))))
    : null;
}

/** A piece of a note. */
export function noteWords({ text, url }: Words): Node | string {
  return url ? h("a.vf-issue", { href: url, target: "_blank", rel: "noopener noreferrer", title: url }, text) : text;
}
