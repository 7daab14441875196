/** The guided tour: offered once where it can be remembered, and walked with the keyboard. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import freezemap from "../src/freezemap";
import { forgetChoice } from "../src/language/choice";
import { KEY } from "../src/base/remembered";
import { placed, type Box } from "../src/tour/placing";
import workbench from "../src/workbench";
import { mount, press, settle, stubBrowser, type Mounted } from "./mounted";

vi.mock("uplot", () => ({
  default: class {
    setData(): void {}
    setSize(): void {}
    destroy(): void {}
  },
}));

const FIRST = { options: { height: 430, theme: "light", tour: true } };

const pages: Mounted[] = [];
async function open(widget = workbench, change = FIRST): Promise<Mounted> {
  const page = await mount(widget, change);
  pages.push(page);
  await settle();
  return page;
}

beforeEach(() => stubBrowser());
afterEach(() => {
  for (const page of pages.splice(0)) page.end.abort();
  document.body.replaceChildren();
  localStorage.clear();
  forgetChoice();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const offer = (page: Mounted): HTMLElement => page.find(".vf-offer");
const card = (page: Mounted): HTMLElement | null => page.el.querySelector(".vf-tour");
const button = (page: Mounted, name: string): HTMLButtonElement => {
  const found = [...page.el.querySelectorAll<HTMLButtonElement>("button")].find(
    (b) => (b.getAttribute("aria-label") ?? b.textContent) === name,
  );
  if (!found) throw new Error(`no button ${name}`);
  return found;
};
const toured = (page: Mounted): string => page.el.querySelector("[data-toured]")?.className ?? "";

describe("the offer", () => {
  test("is one line on a first visit", async () => {
    const page = await open();
    expect(offer(page).hidden).toBe(false);
    expect(offer(page).textContent).toBe("New here? A tour in 6 steps.StartNot now");
    expect(card(page)).toBeNull();
  });

  test("is not repeated once it was declined or taken", async () => {
    const page = await open();
    button(page, "Not now").click();
    expect(offer(page).hidden).toBe(true);
    expect(document.activeElement).toBe(button(page, "Tour of this page"));
    expect(offer(await open()).hidden).toBe(true);
    localStorage.clear();
    button(await open(), "Start").click();
    expect(offer(await open()).hidden).toBe(true);
  });

  test.each([
    ["nobody asks for it", { options: { height: 430, theme: "light" } }],
    ["it is turned off", { options: { ...FIRST.options, tour: false } }],
  ])("is not made where %s", async (_, change) => {
    expect(offer(await open(workbench, change as typeof FIRST)).hidden).toBe(true);
  });

  test("is not made where nothing can be remembered", async () => {
    vi.spyOn(Storage.prototype, "getItem").mockImplementation(() => {
      throw new Error("SecurityError");
    });
    expect(offer(await open()).hidden).toBe(true);
  });

  test("is not made in a saved page without a kernel", async () => {
    const page = await open();
    page.channel.trigger("comm:close");
    await settle();
    expect(offer(page).hidden).toBe(true);
  });

  test("counts the steps of a page that has fewer places", async () => {
    expect(offer(await open(freezemap)).textContent).toContain("2 steps");
  });
});

describe("the tour", () => {
  test("goes through six places and gives the focus back", async () => {
    const page = await open();
    const help = button(page, "Tour of this page");
    help.focus();
    help.click();
    expect(help.getAttribute("aria-expanded")).toBe("true");
    const places = ["vf-mapcard", "vf-controls", "vf-cost", "vf-runbar", "vf-burst", "vf-handover"];
    for (const [i, place] of places.entries()) {
      expect(toured(page)).toContain(place);
      expect(card(page)?.querySelector(".vf-tour-foot .vf-muted")?.textContent).toBe(`${i + 1} of 6`);
      const next = button(page, i < 5 ? "Next" : "Done");
      expect(document.activeElement).toBe(next);
      next.click();
    }
    expect(card(page)).toBeNull();
    expect(toured(page)).toBe("");
    expect(document.activeElement).toBe(help);
    expect(JSON.parse(localStorage.getItem(KEY) ?? "")).toEqual({ tour: "seen" });
  });

  test("is walked with the arrows and left with Escape", async () => {
    const page = await open();
    button(page, "Start").click();
    const press_ = (key: string): void => press(document.activeElement ?? page.el, key);
    press_("ArrowLeft");
    expect(toured(page)).toContain("vf-mapcard");
    press_("ArrowRight");
    press_("ArrowRight");
    expect(toured(page)).toContain("vf-cost");
    press_("ArrowLeft");
    expect(toured(page)).toContain("vf-controls");
    for (let i = 0; i < 9; i++) press_("ArrowRight");
    expect(toured(page)).toContain("vf-handover");
    press_("Escape");
    expect(card(page)).toBeNull();
  });

  test("does not stop the page: what it speaks of can be used meanwhile", async () => {
    const page = await open();
    button(page, "Start").click();
    button(page, "Next").click();
    page.find<HTMLButtonElement>(".vf-controls [role=radio][data-tuning='2']").click();
    expect(page.requests("set_tuning")).toHaveLength(1);
    expect(card(page)).not.toBeNull();
  });

  test("is a dialog with a name, a description and words that are read out when they change", async () => {
    const page = await open();
    button(page, "Start").click();
    const dialog = card(page);
    const named = (attribute: string): string => page.find(`#${dialog?.getAttribute(attribute)}`).textContent ?? "";
    expect(dialog?.getAttribute("role")).toBe("dialog");
    expect(dialog?.getAttribute("aria-modal")).toBeNull();
    expect(named("aria-labelledby")).toBe("Where the parameters are");
    expect(named("aria-describedby")).toContain("Each tile is a module");
    expect(dialog?.querySelector("[aria-live=polite] p")).not.toBeNull();
  });

  test("goes on at the same step in another language, with the focus where it was", async () => {
    const page = await open();
    button(page, "Start").click();
    button(page, "Next").click();
    page.find('.vf-language[title="中文"]').click();
    await settle();
    expect(toured(page)).toContain("vf-controls");
    expect(card(page)?.textContent).toContain("选择训练哪些部分");
    button(page, "下一步").focus();
    page.find('.vf-language[title="English"]').click();
    await settle();
    expect(document.activeElement).toBe(button(page, "Next"));
  });
});

describe("the card's place", () => {
  const PAGE = { width: 1000, height: 1200 };
  const CARD = { width: 300, height: 150 };
  const over = (a: Box, b: Box): boolean =>
    a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;

  test.each([
    ["beside a place on the left", { left: 10, top: 100, width: 600, height: 500 }],
    ["beside a place on the right", { left: 640, top: 100, width: 350, height: 300 }],
    ["under a place as wide as the page", { left: 10, top: 600, width: 980, height: 200 }],
    ["above the last place of the page", { left: 10, top: 1100, width: 980, height: 90 }],
  ])("is %s", (_, place) => {
    const at = placed(place, CARD, PAGE);
    expect(over({ ...at, ...CARD }, place)).toBe(false);
    expect(at.left).toBeGreaterThan(0);
    expect(at.top).toBeGreaterThan(0);
    expect(at.left + CARD.width).toBeLessThan(PAGE.width);
    expect(at.top + CARD.height).toBeLessThan(PAGE.height);
  });

  test("is inside the page where the place fills it", () => {
    expect(placed({ left: 0, top: 0, width: 1000, height: 1200 }, CARD, PAGE)).toEqual({ left: 690, top: 1040 });
  });
});
