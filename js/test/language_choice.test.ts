/** Which language a page speaks, and what stays when it is changed. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { hostLanguage, forgetChoice } from "../src/language/choice";
import { KEY } from "../src/base/remembered";
import workbench from "../src/workbench";
import { mount, press, settle, stubBrowser, type Mounted } from "./mounted";

vi.mock("uplot", () => ({
  default: class {
    setData(): void {}
    setSize(): void {}
    destroy(): void {}
  },
}));

const OPTIONS = { height: 430, theme: "light" };

beforeEach(() => stubBrowser());
afterEach(() => {
  document.body.replaceChildren();
  document.documentElement.lang = "";
  localStorage.clear();
  forgetChoice();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const run = ({ find }: Mounted): string => find(".vf-runbar > .vf-primary").textContent ?? "";
const speak = (page: Mounted, name: string): void => page.find(`.vf-language[title="${name}"]`).click();

describe("the language of a page", () => {
  test.each([
    ["zh-CN", "zh"],
    ["zh_CN", "zh"],
    ["zh-Hant-TW", "zh"],
    ["en", "en"],
    ["de", "en"],
    ["zhx", "en"],
    ["", "en"],
  ])("is that of the host: %j is %s", (lang, expected) => {
    document.documentElement.lang = lang;
    expect(hostLanguage(document)).toBe(expected);
  });

  test("is the browser's where the host does not say", () => {
    vi.spyOn(navigator, "language", "get").mockReturnValue("zh-CN");
    expect(hostLanguage(document)).toBe("zh");
  });

  test("is what the notebook asks for, whatever the host", async () => {
    expect(run(await mount(workbench, { options: { ...OPTIONS, language: "zh" } }))).toBe("运行");
    document.documentElement.lang = "zh-CN";
    expect(run(await mount(workbench, { options: { ...OPTIONS, language: "en" } }))).toBe("Run");
  });

  test("is written on the page's own element, for its fonts and for those who hear it", async () => {
    document.documentElement.lang = "zh-CN";
    const page = await mount(workbench);
    expect(page.find(".vf").lang).toBe("zh-Hans");
    expect(document.documentElement.lang).toBe("zh-CN");
  });

  test("changes at once with a click, and is remembered for the next page", async () => {
    const page = await mount(workbench);
    expect(run(page)).toBe("Run");
    speak(page, "中文");
    expect(run(page)).toBe("运行");
    forgetChoice();
    expect(run(await mount(workbench))).toBe("运行");
    expect(JSON.parse(localStorage.getItem(KEY) ?? "")).toEqual({ language: "zh" });
  });

  test("can be changed where nothing can be remembered", async () => {
    vi.spyOn(Storage.prototype, "getItem").mockImplementation(() => {
      throw new Error("SecurityError");
    });
    vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
      throw new Error("SecurityError");
    });
    const page = await mount(workbench);
    speak(page, "中文");
    expect(run(page)).toBe("运行");
    speak(page, "English");
    expect(run(page)).toBe("Run");
  });

  test("is not what a stranger wrote into the storage", async () => {
    localStorage.setItem(KEY, '{"language": "<b>", "tour": {}}');
    expect(run(await mount(workbench))).toBe("Run");
    localStorage.setItem(KEY, "]");
    expect(run(await mount(workbench))).toBe("Run");
  });

  test("is one for all widgets that share a module", async () => {
    const [one, other] = [await mount(workbench), await mount(workbench)];
    speak(one, "中文");
    expect([run(one), run(other)]).toEqual(["运行", "运行"]);
  });

  test("is told to Python once, where Python has words of its own", async () => {
    const page = await mount(workbench, { options: { ...OPTIONS, words: "en" } });
    expect(page.requests("language")).toEqual([]);
    speak(page, "中文");
    expect(page.requests("language").map((request) => request.args)).toEqual([{ language: "zh" }]);
    page.model.set("options", { ...OPTIONS, words: "zh" });
    await settle();
    expect(page.requests("language")).toHaveLength(1);
  });

  test("is not told to a Python that does not ask", async () => {
    const page = await mount(workbench);
    speak(page, "中文");
    expect(page.requests("language")).toEqual([]);
  });
});

describe("a page that is drawn in another language", () => {
  test("keeps what is typed, selected, opened and focused", async () => {
    const page = await mount(workbench);
    const steps = page.find<HTMLInputElement>("input.vf-steps");
    steps.value = "123";
    steps.dispatchEvent(new Event("input"));
    const [importer] = [...page.el.querySelectorAll<HTMLElement>(".vf-handover .vf-group button")];
    importer?.click();
    const settings = page.find<HTMLTextAreaElement>("textarea");
    settings.value = "finetuning_type: lora";
    settings.dispatchEvent(new Event("input"));
    const list = page.find('button[aria-label="List"]');
    list.click();
    const grid = page.find(".vf-grid");
    grid.focus();
    press(grid, "ArrowDown");
    press(grid, "ArrowRight");
    await settle();
    const before = [...page.el.querySelectorAll(".vf-grid-row[data-id]")].map((row) => [
      row.getAttribute("data-id"),
      row.getAttribute("aria-selected"),
      row.getAttribute("aria-expanded"),
    ]);
    expect(before.some(([, selected]) => selected === "true")).toBe(true);
    expect(before.some(([, , open]) => open === "true")).toBe(true);
    const colour = page.find<HTMLSelectElement>(
      ".vf-choice:nth-of-type(3) select, .vf-tools .vf-choice:last-of-type select",
    );
    colour.value = "bytes";
    colour.dispatchEvent(new Event("change"));
    page.find('.vf-language[title="中文"]').focus();

    speak(page, "中文");
    await settle();
    expect(run(page)).toBe("运行");
    expect(page.find<HTMLInputElement>("input.vf-steps").value).toBe("123");
    expect(page.find<HTMLTextAreaElement>("textarea").value).toBe("finetuning_type: lora");
    expect(page.find("textarea").closest<HTMLElement>(".vf-panel")?.hidden).toBe(false);
    expect(page.find(".vf-grid").hidden).toBe(false);
    const after = [...page.el.querySelectorAll(".vf-grid-row[data-id]")].map((row) => [
      row.getAttribute("data-id"),
      row.getAttribute("aria-selected"),
      row.getAttribute("aria-expanded"),
    ]);
    expect(after).toEqual(before);
    expect(page.find<HTMLSelectElement>(".vf-tools .vf-choice:last-of-type select").value).toBe("bytes");
    expect(document.activeElement?.textContent).toBe("中文");
    expect(document.activeElement?.getAttribute("aria-pressed")).toBe("true");
  });
});
