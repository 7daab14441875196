/** The strategy for another trainer: a tab per trainer, whether it is exact and what differs, notes, the files to copy or save. */
import { t, tn } from "../language/words";
import type { MapState } from "../map/map_state";
import { fill, h, say } from "../parts/dom";
import { errorCard } from "../parts/error_card";
import { uniqueId, type View } from "../parts/view";
import { readExport, type ExportPreview, type HandoverState } from "../wire/handover";
import { texts } from "../base/loose";
import type { ErrorParts } from "../wire/run_state";
import { differenceTable, showOnMap, type DiffWords } from "./difference_table";
import { fileView } from "./file_view";
import type { Panel } from "./import_box";
import { Looks } from "./later";
import { noteList } from "./notes";
import { tabs } from "./tabs";

const PAUSE_MS = 250;
const OPEN = 2; // files that are shown at once; the others unfold
const kinds = (): DiffWords["kinds"] => ({
  also: t("also trains"),
  not: t("does not train"),
  otherwise: t("trains otherwise"),
  lr: t("other rate"),
});

export function exportPanel(view: View, map: MapState, { trainers, folder }: HandoverState): Panel {
  const { page } = view;
  const body = h("div.vf-look", { role: "tabpanel", id: uniqueId("files"), tabindex: "0" });
  const bar = tabs(t("Trainers"), trainers, body, (key) => ask(key));
  const place = h("input.vf-input.vf-folder", {
    type: "text",
    spellcheck: "false",
    autocomplete: "off",
    "aria-label": t("Folder below the working folder"),
    "data-lm-suppress-shortcuts": "true",
  });
  const save = h("button.vf-button", { type: "button", disabled: true, onclick: () => void write() }, t("Save"));
  const status = h("span.vf-muted", { role: "status" });
  const saving = h("div.vf-line", { hidden: true }, h("span.vf-muted", {}, t("Save in")), place, save, status);
  const trouble = h("div", { role: "alert" });
  const element = h("div.vf-panel", { hidden: true }, bar.element, body, saving, trouble);
  let look: ExportPreview | null = null;
  let chosen = "";
  let open = false;
  let drawnRev: number | undefined;

  const looks = new Looks(
    view,
    (found) => {
      look = readExport(found);
      fill(body, ...described(look));
      ready();
    },
    (error) => {
      look = null;
      fill(body, errorCard(error));
      ready();
    },
  );

  function ask(key: string, pause = 0): void {
    if (key !== chosen) {
      place.value = `${folder}/${key}`;
      look = null;
      fill(body);
      say(status, "");
    }
    chosen = key;
    fill(trouble);
    drawnRev = page.plan?.rev;
    if (page.alive) looks.ask({ name: "export_preview", args: { to: key } }, pause);
    ready();
  }

  function ready(): void {
    saving.hidden = !look;
    save.disabled = !page.alive || looks.waiting || !look?.token;
    body.setAttribute("aria-busy", String(looks.waiting));
  }

  function described(found: ExportPreview): (Node | null)[] {
    const words: DiffWords = {
      label: t("What {trainer} would train otherwise", { trainer: found.name }),
      before: t("you see"),
      after: found.name,
      kinds: kinds(),
    };
    const verdict = h(
      "p.vf-verdict",
      { "data-exact": String(found.exact) },
      h("b", {}, found.exact ? t("exact") : t("not the same")),
      " ",
      found.exact
        ? t("{trainer} trains what you see, at these rates.", { trainer: found.name })
        : t("{trainer} comes this near; what it would do otherwise:", { trainer: found.name }),
    );
    if (found.differences.length)
      verdict.append(
        " ",
        h(
          "button.vf-button.vf-small",
          {
            type: "button",
            onclick: () =>
              view.announce(
                t("{count} places selected on the map", { count: showOnMap(view, map, found.differences) }),
              ),
          },
          t("Show on the map"),
        ),
      );
    return [
      verdict,
      differenceTable(view, map, found.differences, words),
      noteList(found.notes),
      ...found.files.map((file, i) => fileView(view, file, i >= OPEN)),
      beside(found),
    ];
  }

  async function write(): Promise<void> {
    if (!look?.token || !page.alive) return;
    const { token } = look;
    look = { ...look, token: "" }; // one save for one look, and one click
    ready();
    fill(trouble);
    const reply = await page.client.ask("export_save", { token, folder: place.value }, page.plan?.rev ?? 0);
    if (!reply.ok) return complain(reply.error, token);
    const [first = "", ...rest] = texts(reply.result.paths);
    say(
      status,
      rest.length
        ? t("Saved {first} and {count} more beside it", { first, count: rest.length })
        : t("Saved {first}", { first }),
    );
    looks.ask({ name: "export_preview", args: { to: chosen } });
    ready();
  }

  function complain(error: ErrorParts, token: string): void {
    if (look && !look.token) look = { ...look, token };
    say(status, "");
    fill(trouble, errorCard(error));
    ready();
  }

  place.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") void write();
  });
  page.on(
    ["plan", "connection"],
    () => {
      ready();
      if (open && page.plan?.rev !== drawnRev) {
        say(status, "");
        ask(chosen, PAUSE_MS);
      }
    },
    view.signal,
  );

  return {
    element,
    show(on) {
      open = on;
      element.hidden = !on;
      if (on) bar.choose(chosen || (trainers[0]?.key ?? ""));
    },
  };
}

function beside({ beside }: ExportPreview): HTMLElement | null {
  const folders = [...new Set(beside.map((name) => name.slice(0, name.lastIndexOf("/"))))].join(", ");
  return beside.length
    ? h(
        "p.vf-muted.vf-rest",
        { title: beside.join("\n") },
        tn(beside.length, "Saved with them: {folders}/ ({n} file).", "Saved with them: {folders}/ ({n} files).", {
          folders,
        }),
      )
    : null;
}
