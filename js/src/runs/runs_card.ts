/** Recorded runs: whether this session writes its own, the list of a folder, one that is open, two side by side. Folded while there are none. */
import { keepFocus } from "../burst/keep_focus";
import { t, tn } from "../language/words";
import { fill, h, say } from "../parts/dom";
import type { View } from "../parts/view";
import { runCompared } from "./run_compared";
import { runOpened } from "./run_opened";
import { runTable } from "./run_table";

const FEW = 8; // rows before the rest is asked for

export function runsCard(view: View): HTMLElement {
  const { page } = view;
  const marked = new Set<string>();
  let all = false;
  const about = h("span.vf-muted", { role: "status" });
  const folder = h("input.vf-input.vf-runs-folder", {
    type: "text",
    "aria-label": t("Folder of the runs, below the working folder"),
    value: "runs",
    spellcheck: "false",
    autocomplete: "off",
    "data-lm-suppress-shortcuts": "true",
    onkeydown: (event) => {
      event.stopPropagation();
      if (event.key === "Enter") start();
    },
  });
  folder.value = "runs";
  const record = h(
    "button.vf-button",
    {
      type: "button",
      title: t("Every burst from the next one on writes a folder of its own, as it goes"),
      onclick: () => start(),
    },
    t("Record from now on"),
  );
  const end = h(
    "button.vf-button",
    { type: "button", onclick: () => void page.request("runs_record", { folder: "" }) },
    t("Stop recording"),
  );
  const look = h(
    "button.vf-button",
    { type: "button", onclick: () => void page.request("runs_look") },
    t("Look again"),
  );
  const compare = h("button.vf-button.vf-primary", { type: "button", onclick: () => side() });
  const more = h("button.vf-button.vf-small", { type: "button", onclick: () => ((all = true), draw()) });
  const table = h("div");
  const said = h("p.vf-note", { role: "status", hidden: true });
  const opened = runOpened(view, () => page.runs?.opened ?? null);
  const compared = runCompared(view, () => page.runs?.compared ?? null);
  const body = h(
    "div.vf-runs-body",
    {},
    table,
    h("div.vf-line", {}, more, compare),
    said,
    opened.element,
    compared.element,
  );
  const element = h(
    "section.vf-card.vf-runscard",
    { "aria-label": t("Runs") },
    h(
      "div.vf-probe-head",
      {},
      h("h3", {}, h("b", {}, t("runs")), " ", about),
      h("div.vf-group", {}, folder, record, end, look),
    ),
    body,
  );
  const settle = keepFocus("runs", view.root, [element], () => [compare, record, end, look], view.signal);
  let drawn = "";

  function start(): void {
    if (folder.value.trim()) void page.request("runs_record", { folder: folder.value.trim() });
  }

  function side(): void {
    const [name, other] = [...(page.runs?.rows ?? [])]
      .map((row) => row.name)
      .filter((each) => marked.has(each))
      .reverse();
    if (name && other) void page.request("runs_compare", { name, other });
  }

  function draw(): void {
    const { runs } = page;
    element.hidden = !runs;
    if (!runs) return;
    const rows = runs.rows ?? [];
    for (const name of marked) if (!rows.some((row) => row.name === name)) marked.delete(name);
    say(
      about,
      [
        runs.recording ? t("recorded in {folder}", { folder: runs.folder }) : t("not recorded"),
        rows.length ? tn(rows.length + runs.more, "{n} run", "{n} runs") : "",
        runs.waiting ? t("reading…") : "",
      ]
        .filter(Boolean)
        .join(" · "),
    );
    folder.hidden = record.hidden = runs.recording;
    end.hidden = !runs.recording;
    look.hidden = !rows.length && !runs.recording;
    folder.disabled = record.disabled = end.disabled = look.disabled = !page.alive;
    const key = JSON.stringify([rows, [...marked], all, runs.opened?.row.name, page.alive]);
    if (key !== drawn) {
      drawn = key;
      const held = (element.getRootNode() as Document | ShadowRoot).activeElement;
      const place = held && table.contains(held) ? [...table.querySelectorAll("input, button")].indexOf(held) : -1;
      fill(
        table,
        rows.length
          ? runTable(view, {
              rows: all ? rows : rows.slice(0, FEW),
              open: runs.opened?.row.name ?? "",
              marked,
              choose,
              mark,
            })
          : null,
      );
      if (place >= 0) [...table.querySelectorAll<HTMLElement>("input, button")][place]?.focus();
    }
    more.hidden = all || rows.length <= FEW;
    say(more, t("all {n} runs", { n: rows.length }));
    compare.hidden = marked.size !== 2;
    compare.disabled = !page.alive;
    say(compare, t("Compare the two"));
    const told =
      runs.problem ||
      (runs.report
        ? t("The report lies in {path}", { path: runs.report })
        : all && runs.more
          ? t("{n} older runs are not listed.", { n: runs.more })
          : "");
    say(said, told);
    said.hidden = !told;
    said.dataset.bad = String(!!runs.problem);
    opened.draw();
    compared.draw();
    body.hidden = !rows.length && !told && !runs.opened && !runs.compared;
    settle();
  }

  function choose(name: string): void {
    void page.request("runs_open", { name: page.runs?.opened?.row.name === name ? "" : name });
  }

  function mark(name: string, on: boolean): void {
    if (on) marked.add(name);
    else marked.delete(name);
    draw();
  }

  draw();
  page.on(["runs", "connection"], draw, view.signal);
  return element;
}
