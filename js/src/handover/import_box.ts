/** Settings of another trainer come in: pasted or from a file, looked at, and applied as one edit that undo takes back. */
import { count } from "../format";
import { t } from "../language/words";
import type { MapState } from "../map/map_state";
import { fill, h, say } from "../parts/dom";
import { errorCard } from "../parts/error_card";
import { uniqueId, type View } from "../parts/view";
import { readImport, type HandoverState, type ImportPreview } from "../wire/handover";
import { text as textOf } from "../base/loose";
import type { ErrorParts } from "../wire/run_state";
import { differenceTable, type DiffWords } from "./difference_table";
import { Looks } from "./later";
import { noteList } from "./notes";

const PAUSE_MS = 350;
const LARGEST_FILE = 262_144;
const words = (): DiffWords => ({
  label: t("What it would change"),
  before: t("now"),
  after: t("with it"),
  kinds: { also: t("will train"), not: t("will not train"), otherwise: t("trains otherwise"), lr: t("other rate") },
});
const example = (): string =>
  `finetuning_type: lora\nlora_target: all\n\n${t("or")}  --lora_enable True --mm_projector_lr 2e-5 …\n${t("or")}  ${t("the text of an adapter_config.json")}`;

export interface Panel {
  element: HTMLElement;
  show(on: boolean): void;
}

export function importBox(view: View, map: MapState, { trainers }: HandoverState): Panel {
  const { page } = view;
  const id = uniqueId("settings");
  const field = h("textarea.vf-input.vf-settings", {
    id,
    rows: "7",
    spellcheck: "false",
    autocomplete: "off",
    placeholder: example(),
    "data-lm-suppress-shortcuts": "true",
  });
  const menu = h(
    "select.vf-select",
    { "aria-label": t("Whose settings") },
    h("option", { value: "" }, t("find the trainer")),
    ...trainers.map(({ key, name }) => h("option", { value: key }, name)),
  );
  const chooser = h("input", {
    type: "file",
    hidden: true,
    tabindex: "-1",
    "aria-hidden": "true",
    accept: ".yaml,.yml,.json,.sh,.args,.txt",
  });
  const choose = h("button.vf-button", { type: "button", onclick: () => chooser.click() }, t("Choose a file…"));
  const apply = h("button.vf-button.vf-primary", { type: "button", disabled: true, onclick: () => take() }, t("Apply"));
  const status = h("span.vf-muted", { role: "status" });
  const result = h("div.vf-look");
  const element = h(
    "div.vf-panel",
    { hidden: true },
    h("label.vf-muted", { for: id }, t("Flags, YAML, JSON or a command line")),
    field,
    h("div.vf-line", {}, menu, choose, chooser, apply, status),
    result,
  );
  let look: ImportPreview | null = null;
  let looked = { text: "", trainer: "" };
  let open = false;

  const looks = new Looks(
    view,
    (found, { args }) => {
      look = readImport(found);
      looked = { text: textOf(args.text), trainer: textOf(args.trainer) };
      say(status, "");
      fill(result, ...described(view, map, look));
      ready();
    },
    refuse,
  );

  function refuse(error: ErrorParts): void {
    look = null;
    say(status, "");
    fill(result, h("div", { role: "alert" }, errorCard(error)));
    ready();
  }

  function ready(): void {
    apply.disabled = !page.alive || looks.waiting || !look?.differences.length;
    menu.disabled = choose.disabled = field.disabled = !page.alive;
    result.setAttribute("aria-busy", String(looks.waiting));
  }

  function ask(pause = 0): void {
    if (!field.value.trim() || !page.alive) {
      looks.forget();
      look = null;
      fill(result);
      say(status, "");
    } else {
      say(status, t("Looking…"));
      looks.ask({ name: "import_preview", args: { text: field.value, trainer: menu.value } }, pause);
    }
    ready();
  }

  function take(): void {
    if (!look) return;
    void page.request("import", looked);
    view.announce(t("{trainer} settings applied. Undo takes them back.", { trainer: look.name }));
  }

  async function read(file: File | undefined): Promise<void> {
    chooser.value = "";
    if (!file) return;
    if (file.size > LARGEST_FILE) {
      return refuse({
        code: "bad-config",
        message: t("{name} is too large for the settings of a trainer.", { name: file.name }),
        expected: t("at most 256 kB"),
        found: `${Math.round(file.size / 1024)} kB`,
        remedy: t("Choose the file with the settings, not the weights."),
        traceback: "",
      });
    }
    field.value = await file.text();
    ask();
  }

  field.addEventListener("keydown", (event) => event.stopPropagation());
  field.addEventListener("input", () => ask(PAUSE_MS));
  menu.addEventListener("change", () => ask());
  chooser.addEventListener("change", () => void read(chooser.files?.[0]));
  let rev = page.plan?.rev;
  page.on(
    ["plan", "connection"],
    () => {
      if (open && page.plan?.rev !== rev) ask(PAUSE_MS); // what it would change has changed
      rev = page.plan?.rev;
      ready();
    },
    view.signal,
  );

  return {
    element,
    show(on) {
      open = on;
      element.hidden = !on;
      ready();
      if (!on) return;
      field.focus();
      if (field.value) ask();
    },
  };
}

function described(view: View, map: MapState, look: ImportPreview): (Node | null)[] {
  const [before, after] = look.trainable;
  const change = look.differences.length
    ? before === after
      ? t("{count} train, as now.", { count: count(after) })
      : t("{before} train now, {after} would.", { before: count(before), after: count(after) })
    : t("This is what you have already.");
  const settings = look.settings.map(([name, value]) => `${name} ${value}`).join(" · ");
  return [
    h("p", {}, h("b", {}, `${look.name}: `), h("b", {}, look.sentence), " ", h("span.vf-muted", {}, change)),
    differenceTable(view, map, look.differences, words()),
    noteList([...look.warnings.map((text) => [{ text, url: "" }]), ...look.notes]),
    settings ? h("p.vf-muted.vf-rest", {}, t("Not about what trains, so not taken: "), settings) : null,
  ];
}
