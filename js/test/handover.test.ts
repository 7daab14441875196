/** Import and export on the page: read as the golden messages have them, pasted, applied, shown, copied, saved. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import freezemap from "../src/freezemap";
import { readExport, readHandover, readImport } from "../src/wire/handover";
import { readPresets } from "../src/wire/presets";
import { golden, type Golden } from "./golden";
import { mount, press, settle, stubBrowser, type Mounted } from "./mounted";

const PAUSE = 450; // a little more than the page waits after a key
const result = (name: string): Golden => golden(name).result as Golden;
const later = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

describe("what is read", () => {
  test("has the golden values", () => {
    expect(readHandover(golden("state_handover")).trainers[0]).toEqual({ key: "llamafactory", name: "LLaMA-Factory" });
    const look = readImport(result("reply_import"));
    expect(look.differences[0]).toMatchObject({
      label: "projector",
      kind: "lr",
      before: "lr 1e-3",
      after: "lr 1e-4",
      nodes: [7],
    });
    expect(look.notes[0]?.[1]).toEqual({ text: "LLaVA#832", url: "https://github.com/haotian-liu/LLaVA/issues/832" });
    expect(look.settings).toEqual([["num_train_epochs", "3"]]);
    const files = readExport(result("reply_export"));
    expect([files.exact, files.files[0]?.name, files.beside, files.token]).toEqual([
      false,
      "llava.args",
      ["training_data/rows.py"],
      "56aKj1cO-lAkLyIY",
    ]);
  });

  test.each([
    "data:text/html,x",
    "http://github.com/a/b/issues/1",
    "https://github.com.evil.org/a/b/issues/1",
    "https://github.com/a/b/issues/1#x",
    "https://evil.org/?https://github.com/a/b/issues/1",
    " https://github.com/a/b/issues/1",
    7,
    null,
  ])("makes no link of %s", (url) => {
    expect(readImport({ notes: [[["see", url]]] }).notes).toEqual([[{ text: "see", url: "" }]]);
    expect(readPresets({ presets: [{ title: "t", url, items: [{ name: "n" }] }] })[0]?.url).toBe("");
  });

  test("is something whatever comes", () => {
    for (const value of [
      null,
      1,
      "x",
      [],
      { differences: [null, { kind: "evil", nodes: ["a", 1.5] }], notes: [1, [2]], files: [3], trainable_params: "no" },
    ]) {
      expect(readImport(value).trainable).toEqual([0, 0]);
      expect(readExport(value).exact).toBe(false);
      expect(readHandover(value).trainers).toEqual([]);
    }
  });
});

describe("on the page", () => {
  let page: Mounted;
  beforeEach(async () => {
    stubBrowser();
    page = await mount(freezemap);
    page.answer(page.requests("hello")[0] as Golden, { result: { subshell: "s" } });
    await settle();
  });
  afterEach(() => {
    page.end.abort();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  const button = (text: string): HTMLButtonElement => {
    const found = [...page.el.querySelectorAll<HTMLButtonElement>(".vf-handover button")].find(
      (b) => b.textContent === text,
    );
    if (!found) throw new Error(`no button ${text}`);
    return found;
  };
  const last = (name: string): Golden => page.requests(name).at(-1) as Golden;
  const paste = async (text: string): Promise<void> => {
    const field = page.find<HTMLTextAreaElement>(".vf-settings");
    field.value = text;
    field.dispatchEvent(new Event("input"));
    await later(PAUSE);
  };

  test("nothing is asked before somebody opens it", () => {
    expect(
      ["import_preview", "export_preview", "export_save", "import"].flatMap((name) => page.requests(name)),
    ).toEqual([]);
    expect(button("Import").getAttribute("aria-expanded")).toBe("false");
  });

  test("pasted settings are looked at, and one edit applies them", async () => {
    button("Import").click();
    expect(document.activeElement).toBe(page.find(".vf-settings"));
    await paste("--tune_mm_mlp_adapter True");
    expect(last("import_preview").args).toEqual({ text: "--tune_mm_mlp_adapter True", trainer: "" });
    expect(button("Apply").disabled).toBe(true);
    page.answer(last("import_preview"), { result: result("reply_import") });
    await settle();
    expect(page.find(".vf-differences tbody").textContent).toContain(
      "other ratelr 1e-3lr 1e-4model.multi_modal_projector",
    );
    const link = page.find<HTMLAnchorElement>(".vf-notes a");
    expect([link.href, link.rel, link.target]).toEqual([
      "https://github.com/haotian-liu/LLaVA/issues/832",
      "noopener noreferrer",
      "_blank",
    ]);
    button("Apply").click();
    await settle();
    expect(page.requests("import").map((w) => w.args)).toEqual([{ text: "--tune_mm_mlp_adapter True", trainer: "" }]);
  });

  test("what cannot be read is said beside the box, and the text stays", async () => {
    button("Import").click();
    await paste("nonsense");
    page.channel.message({
      v: 1,
      kind: "reply",
      id: last("import_preview").id,
      ok: false,
      rev: 4,
      error: {
        code: "bad-config",
        message: "These cannot be read.",
        expected: "YAML",
        found: "a word",
        remedy: "Paste more.",
      },
    });
    await settle();
    expect(page.find(".vf-panel [role=alert]").textContent).toBe(
      "These cannot be read.ExpectedYAMLFounda wordWhat to doPaste more.",
    );
    expect(page.find<HTMLTextAreaElement>(".vf-settings").value).toBe("nonsense");
    expect(page.find(".vf-errors").hidden).toBe(true);
    expect(button("Apply").disabled).toBe(true);
  });

  test("an answer to an older text is passed over", async () => {
    button("Import").click();
    await paste("one");
    const old = last("import_preview");
    await paste("two");
    page.answer(old, { result: result("reply_import") });
    await settle();
    expect(page.el.querySelector(".vf-differences")).toBeNull();
  });

  test("tabs show the files of each trainer, by mouse and by key", async () => {
    button("Export").click();
    await later(5);
    expect(last("export_preview").args).toEqual({ to: "llamafactory" });
    const [first, second] = [...page.el.querySelectorAll<HTMLElement>("[role=tab]")];
    press(first as Element, "ArrowRight");
    await later(5);
    expect(document.activeElement).toBe(second);
    expect([first?.tabIndex, second?.tabIndex, second?.getAttribute("aria-selected")]).toEqual([-1, 0, "true"]);
    expect(last("export_preview").args).toEqual({ to: "llava" });
    page.answer(last("export_preview"), { result: result("reply_export") });
    await settle();
    expect(page.find(".vf-verdict").textContent).toContain("not the same");
    expect(page.find(".vf-file pre").textContent).toBe("--tune_mm_mlp_adapter=True\n--learning_rate=0.0001\n");
    button("Show on the map").click();
    expect(page.find(".vf-path").textContent).toBe("model.multi_modal_projector.linear_1");
  });

  test("copy has a way without the clipboard", async () => {
    button("Export").click();
    await later(5);
    page.answer(last("export_preview"), { result: result("reply_export") });
    await settle();
    const command = vi.fn(() => true);
    Object.defineProperty(document, "execCommand", { configurable: true, value: command });
    button("Copy").click();
    await settle();
    expect(command).toHaveBeenCalledWith("copy");
    expect(button("Copied")).toBeTruthy();
  });

  test("one look is saved once, and a refusal is said beside the button", async () => {
    button("Export").click();
    await later(5);
    page.answer(last("export_preview"), { result: result("reply_export") });
    await settle();
    button("Save").click();
    button("Save").click();
    await settle();
    expect(page.requests("export_save").map((w) => w.args)).toEqual([
      { token: "56aKj1cO-lAkLyIY", folder: "handover/llamafactory" },
    ]);
    page.channel.message({
      v: 1,
      kind: "reply",
      id: last("export_save").id,
      ok: false,
      rev: 4,
      error: { code: "cannot-save", message: "It is there already.", expected: "", found: "", remedy: "" },
    });
    await settle();
    expect(page.find(".vf-panel [role=alert] b").textContent).toBe("It is there already.");
    button("Save").click();
    await settle();
    page.answer(last("export_save"), { result: { paths: ["handover/llamafactory/llava.args"] } });
    await later(10);
    expect(page.requests("export_save")).toHaveLength(2);
    expect(page.el.textContent).toContain("Saved handover/llamafactory/llava.args");
    expect(page.requests("export_preview")).toHaveLength(2);
  });

  test("another strategy asks for other files", async () => {
    button("Export").click();
    await later(5);
    page.answer(last("export_preview"), { result: result("reply_export") });
    page.model.set("plan_state", { ...golden("state_plan"), rev: 9 });
    await later(PAUSE);
    expect(page.requests("export_preview")).toHaveLength(2);
  });
});
