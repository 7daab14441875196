/** The model's answers to a few questions: before, now, and as they should be. */
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import { picture } from "../parts/picture";
import type { View } from "../parts/view";

export function answersCard(view: View): HTMLElement {
  const { page } = view;
  const note = h("span.vf-muted");
  const rows = h("div.vf-questions");
  const element = h(
    "section.vf-answers",
    { "aria-label": t("Answers") },
    h("h3", {}, h("b", {}, t("answers")), " ", note),
    rows,
  );
  let asked: unknown = null;
  let cells: { before: HTMLElement; now: HTMLElement }[] = [];
  const draw = (): void => {
    const { data, run } = page;
    const answers = run?.answers ?? null;
    element.hidden = !data?.questions.length || !answers;
    if (element.hidden || !data || !answers) return;
    if (asked !== data.questions) {
      asked = data.questions;
      cells = data.questions.map(() => ({ before: h("dd"), now: h("dd") }));
      fill(rows, ...data.questions.map((q, i) => question(q, cells[i] as { before: HTMLElement; now: HTMLElement })));
    }
    note.textContent = answers.step ? t("at step {step}", { step: answers.step }) : t("before the first step");
    cells.forEach((cell, i) => {
      cell.before.textContent = answers.before[i] ?? "";
      cell.now.textContent = answers.now[i] ?? "";
      const target = data.questions[i]?.target ?? "";
      if (target) cell.now.dataset.right = String(same(answers.now[i] ?? "", target));
    });
  };

  function question(
    q: { prompt: string; target: string; picture: Uint8Array },
    cell: { before: HTMLElement; now: HTMLElement },
  ): HTMLElement {
    const term = (words: string, value: HTMLElement | string): HTMLElement[] => [
      h("dt", {}, words),
      typeof value === "string" ? h("dd", {}, value) : value,
    ];
    return h(
      "div.vf-question",
      {},
      picture(q.picture, q.prompt || t("picture"), view.signal),
      h(
        "dl",
        {},
        ...(q.prompt ? term(t("prompt"), q.prompt) : []),
        ...term(t("before"), cell.before),
        ...term(t("now"), cell.now),
        ...(q.target ? term(t("wanted"), q.target) : []),
      ),
    );
  }

  draw();
  page.on(["run", "data"], draw, view.signal);
  return element;
}

function same(said: string, target: string): boolean {
  const plain = (words: string): string => words.trim().replace(/\s+/g, " ").toLowerCase();
  return plain(said) === plain(target);
}
