import { afterEach, beforeEach, expect, test, vi } from "vitest";
import workbench from "../src/workbench";
import { golden } from "./golden";
import { mount, settle, stubBrowser, type Mounted } from "./mounted";

vi.mock("uplot", () => ({
  default: class {
    setData(): void {}
    setSize(): void {}
    destroy(): void {}
  },
}));

let page: Mounted;
beforeEach(async () => {
  stubBrowser();
  page = await mount(workbench, {
    run_state: { ...golden("state_run"), phase: "failed", rows: 0, can_run: true },
    advice_state: golden("state_advice"),
  });
});
afterEach(() => {
  page.end.abort();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test("after a lack of memory one click runs with what was seen to run", async () => {
  const card = page.find(".vf-advice");
  expect(card.textContent).toContain("2 rows per micro-batch instead of 8, accumulation 4. It is the same step.");
  card.querySelector("button")?.click();
  await settle();
  expect(page.requests("run_smaller")[0]?.args).toEqual({});
});

test("it is gone while a burst runs and when there is nothing to advise", () => {
  page.model.set("run_state", { ...golden("state_run"), rows: 0 });
  expect(page.find(".vf-advice").hidden).toBe(true);
  page.model.set("run_state", { ...golden("state_run"), phase: "idle", rows: 0 });
  expect(page.find(".vf-advice").hidden).toBe(false);
  page.model.set("advice_state", {});
  expect(page.find(".vf-advice").hidden).toBe(true);
});
