import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { front } from "../src/compare/front_plot";
import { letter } from "../src/compare/marks";
import { readCompare } from "../src/wire/compare_state";
import workbench from "../src/workbench";
import { golden, type Golden } from "./golden";
import { mount, press, settle, stubBrowser, type Mounted } from "./mounted";

vi.mock("uplot", () => ({
  default: class {
    setData(): void {}
    setSize(): void {}
    destroy(): void {}
  },
}));

let page: Mounted;
const show = async (change: Golden = {}): Promise<void> => {
  page = await mount(workbench, { compare_state: { ...golden("state_compare"), why_not: null, ...change } });
  await settle();
};
beforeEach(() => stubBrowser());
afterEach(() => {
  page.end.abort();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const card = (): HTMLElement => page.find(".vf-compare");
const button = (name: string): HTMLButtonElement | undefined =>
  [...card().querySelectorAll<HTMLButtonElement>("button")].find(
    (b) => (b.getAttribute("aria-label") ?? b.textContent) === name && !b.hidden,
  );
const rows = (): HTMLElement[] => [...card().querySelectorAll<HTMLElement>("tbody tr")];

describe("the contenders", () => {
  test("stand with the best first, their letters as they were added", async () => {
    await show();
    expect(rows().map((row) => row.querySelector("b")?.textContent)).toEqual(["best", "slow", "new"]);
    expect(rows().map((row) => row.querySelector(".vf-letter")?.textContent)).toEqual(["B", "A", "C"]);
    expect(rows()[1]?.textContent).toContain("1 (");
    expect(rows()[0]?.textContent).toContain("≈ 22.6 MB");
    expect(rows()[1]?.textContent).toContain("28.3 MB");
    expect(rows()[1]?.textContent).not.toContain("≈");
    expect(rows()[2]?.querySelector(".vf-refused")?.textContent).toBe("Nothing trains.");
  });

  test("are taken up, stopped and copied by their buttons, while it runs", async () => {
    await show();
    button("Take up: slow")?.click();
    button("Stop: slow")?.click();
    button("lr ×½: slow")?.click();
    await settle();
    expect(page.requests("compare_load")[0]?.args).toEqual({ name: "slow" });
    expect(page.requests("compare_remove")[0]?.args).toEqual({ name: "slow" });
    expect(page.requests("compare_clone")[0]?.args).toEqual({ name: "slow", factor: 0.5 });
    expect(button("lr ×2: best")).toBeUndefined();
  });

  test("keep their elements while numbers change, so that no click is lost", async () => {
    await show();
    const before = button("Take up: slow");
    page.model.set("compare_state", { ...golden("state_compare"), done: 0.75 });
    expect(button("Take up: slow")).toBe(before);
  });

  test("are said to be too close to call, or equal", async () => {
    const state = golden("state_compare");
    const slow = (state.contenders as Golden[])[1] as Golden;
    await show({ contenders: [{ ...slow, behind: { call: "too_close", mean: 0.1, low: -1, high: 1 } }] });
    expect(rows()[0]?.textContent).toContain("too close to call");
    page.model.set("compare_state", {
      ...state,
      contenders: [{ ...slow, behind: { call: "equal", mean: 0, low: 0, high: 0 } }],
    });
    expect(rows()[0]?.textContent).toContain("equal, number for number");
  });
});

describe("the board as a picture", () => {
  test("has a button for each that is known, and Enter takes it up", async () => {
    await show();
    const marks = [...card().querySelectorAll(".vf-front [role=button]")];
    expect(marks.map((m) => m.getAttribute("data-name")).sort()).toEqual(["best", "slow"]);
    expect(marks.find((m) => m.getAttribute("data-name") === "best")?.getAttribute("aria-label")).toContain(
      "held-out loss 0.8",
    );
    press(marks[0] as Element, "Enter");
    await settle();
    expect(page.requests("compare_load")).toHaveLength(1);
  });

  test("draws its line through those that nobody beats in both", () => {
    const at = (x: number, y: number) => ({
      contender: readCompare(golden("state_compare"))?.contenders[0] as never,
      x,
      y,
    });
    expect(front([at(3, 1), at(1, 3), at(2, 2), at(2, 4), at(4, 1)]).map((p) => [p.x, p.y])).toEqual([
      [1, 3],
      [2, 2],
      [3, 1],
    ]);
  });
});

describe("the card", () => {
  test("says what it is for while nobody takes part, and lets the present strategy in", async () => {
    await show({ status: "open", contenders: [] });
    expect(card().textContent).toContain("Which strategy is best?");
    button("Add the present strategy")?.click();
    await settle();
    expect(page.requests("compare_add")[0]?.args).toEqual({ name: "" });
  });

  test("starts, pauses, goes on and stops", async () => {
    await show({ status: "open", contenders: (golden("state_compare").contenders as Golden[]).slice(0, 2) });
    button("Compare")?.click();
    page.model.set("compare_state", { ...golden("state_compare"), status: "running" });
    button("Pause")?.click();
    page.model.set("compare_state", { ...golden("state_compare"), status: "paused" });
    button("Resume")?.click();
    button("Stop")?.click();
    await settle();
    expect(page.requests("compare_run")).toHaveLength(1);
    expect(page.requests("compare_pause").map((w) => w.args)).toEqual([{ on: true }, { on: false }]);
    expect(page.requests("compare_stop")).toHaveLength(1);
  });

  test("does not start with someone who cannot train", async () => {
    await show({ status: "open" });
    expect(button("Compare")?.disabled).toBe(true);
  });

  test("takes no number that is none", async () => {
    await show({ status: "open" });
    const steps = card().querySelector<HTMLInputElement>("[aria-label='Steps of every run']");
    if (!steps) throw new Error("no steps");
    for (const [value, requested] of [
      ["0", 0],
      ["1.5", 0],
      ["12", 1],
    ] as const) {
      steps.value = value;
      steps.dispatchEvent(new Event("change"));
      await settle();
      expect(page.requests("compare_set")).toHaveLength(requested);
    }
  });

  test("draws whatever a stranger's notebook holds, as text", async () => {
    await show({
      status: "over",
      sentence: "<img src=x onerror=alert(1)>",
      notes: [{}, 3],
      contenders: [
        (golden("state_compare").contenders as Golden[])[0],
        null,
        { name: "<b>", index: -4, behind: "no", curve: "no", loss: { f: "nan" } },
        ...Array.from({ length: 90 }, () => ({ name: "x" })),
      ],
    });
    expect(card().querySelector("img")).toBeNull();
    expect(card().textContent).toContain("<img src=x");
    expect(readCompare({})).toBeNull();
  });

  test("gives letters to any number of contenders", () => {
    expect([0, 25, 26, 53].map(letter)).toEqual(["A", "Z", "A2", "B3"]);
  });
});
