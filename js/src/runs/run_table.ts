/** The list of recorded runs, the newest first: a name opens one, two marks compare. */
import { measure, seconds, whole } from "../format";
import { spoken, t, tn } from "../language/words";
import { h } from "../parts/dom";
import type { View } from "../parts/view";
import type { RunRow } from "../wire/runs_state";

// A map, not an object: the phase is text of a folder or of saved state, and an object also knows "__proto__".
const PHASES = new Map<string, () => string>([
  ["finished", () => t("finished")],
  ["stopped", () => t("stopped")],
  ["failed", () => t("failed")],
  ["running", () => t("running")],
  ["preparing", () => t("preparing")],
]);

export interface RunTable {
  rows: readonly RunRow[];
  open: string;
  marked: ReadonlySet<string>;
  choose: (name: string) => void;
  mark: (name: string, on: boolean) => void;
}

export function runTable(view: View, { rows, open, marked, choose, mark }: RunTable): HTMLElement {
  const heads = [t("run"), t("what trains"), t("steps"), t("loss"), t("does it train?"), t("when")];
  const line = (row: RunRow): HTMLElement => {
    const lost = row.phase === "unreadable";
    const box = h("input", {
      type: "checkbox",
      "aria-label": t("Compare {name}", { name: row.name }),
      disabled: lost || !view.page.alive || (marked.size >= 2 && !marked.has(row.name)),
      onchange: ({ target }) => mark(row.name, (target as HTMLInputElement).checked),
    });
    box.checked = marked.has(row.name);
    const name = h(
      "button.vf-link",
      {
        type: "button",
        disabled: lost || !view.page.alive,
        "aria-expanded": String(open === row.name),
        onclick: () => choose(row.name),
      },
      row.name,
    );
    const steps =
      row.of && row.of !== row.steps
        ? t("{step} of {steps}", { step: whole(row.steps), steps: whole(row.of) })
        : whole(row.steps);
    const cells = lost
      ? [h("td.vf-runs-what", { colspan: "4" }, `${t("cannot be read")}: ${row.sentence}`)]
      : [
          h("td.vf-runs-what", {}, row.sentence),
          h(
            "td",
            {},
            steps,
            row.phase === "finished" ? null : h("small.vf-muted", {}, ` ${PHASES.get(row.phase)?.() ?? row.phase}`),
          ),
          h(
            "td",
            {},
            row.loss === null ? "–" : measure(row.loss),
            row.eval_loss === null ? null : h("small.vf-muted", {}, ` ${t("eval")} ${measure(row.eval_loss)}`),
          ),
          h(
            "td",
            { "data-status": row.verdicts.failures ? "failure" : row.verdicts.warnings ? "warning" : "ok" },
            verdict(row),
          ),
        ];
    return h(
      "tr",
      { "aria-current": open === row.name ? "true" : null },
      h("th", { scope: "row" }, h("span.vf-runs-name", {}, box, name)),
      ...cells,
      h("td", {}, when(row), h("small.vf-muted", {}, row.seconds ? ` ${seconds(row.seconds)}` : "")),
    );
  };
  return h(
    "div.vf-scroll",
    { tabindex: "0", role: "region", "aria-label": t("Recorded runs") },
    h(
      "table.vf-links.vf-runs",
      {},
      h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, ...rows.map(line)),
    ),
  );
}

/** The verdicts of a run in a word: the worst that there is. */
export function verdict({ verdicts: { ok, warnings, failures } }: RunRow): string {
  if (failures) return tn(failures, "{n} part does not", "{n} parts do not");
  if (warnings) return tn(warnings, "{n} warning", "{n} warnings");
  return ok ? `✓ ${t("all parts")}` : "–";
}

function when({ began }: RunRow): string {
  const day = new Date((began ?? NaN) * 1000);
  return Number.isNaN(day.getTime())
    ? "–"
    : day.toLocaleString(spoken() === "zh" ? "zh-CN" : undefined, { dateStyle: "short", timeStyle: "short" });
}
