import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { request } from "../src/wire/messages";
import { readSaved } from "../src/wire/saved_state";
import workbench from "../src/workbench";
import { golden, type Golden } from "./golden";
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
  page = await mount(workbench, { saved_state: { ...golden("state_saved"), written: null, states: null } });
});
afterEach(() => {
  page.end.abort();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const run = (change: Golden): void =>
  page.model.set("run_state", { ...golden("state_run"), rows: 0, can_load: false, ...change });
const button = (text: string): HTMLButtonElement | undefined =>
  [...page.el.querySelectorAll<HTMLButtonElement>(".vf-burst button")].find((b) => b.textContent === text && !b.hidden);

describe("saving a burst", () => {
  test("is offered while it runs, is paused or is over, and says where it will write", async () => {
    for (const [phase, words] of [
      ["running", "Save state"],
      ["paused", "Save state"],
      ["deciding", "Save result"],
    ] as const) {
      run({ phase });
      expect(button(words)?.title).toContain("below /home/me/vlmfreeze-runs");
    }
    run({ phase: "idle" });
    expect(button("Save state") ?? button("Save result")).toBeUndefined();
    for (const [outcome, words] of [
      ["kept", "Save result"],
      ["discarded", undefined],
    ] as const) {
      run({ phase: "idle", outcome });
      expect((button("Save state") ?? button("Save result"))?.textContent).toBe(words);
    }
    run({ phase: "paused" });
    button("Save state")?.click();
    await settle();
    expect(page.requests("save")[0]?.args).toEqual({});
  });

  test("says afterwards where it lies, and meanwhile that it waits for the step", () => {
    run({ phase: "running" });
    page.model.set("saved_state", { ...golden("state_saved"), waiting: true });
    expect(page.find(".vf-saved").textContent).toBe("The state is saved after this step.");
    expect(button("Save state")?.disabled).toBe(true);
    page.model.set("saved_state", golden("state_saved"));
    expect(page.find(".vf-saved").textContent).toBe(
      "Saved the state after step 12 in /home/me/vlmfreeze-runs/states/step-000012",
    );
  });
});

describe("going on later", () => {
  test("lists the states that are whole and goes on from the one that is chosen, up to a step", async () => {
    run({ phase: "idle" });
    button("Resume from…")?.click();
    await settle();
    expect(page.requests("saved_states")).toHaveLength(1);
    expect(page.find(".vf-states").textContent).toContain("Looking for saved states");
    page.model.set("saved_state", golden("state_saved"));
    const rows = [...page.el.querySelectorAll(".vf-states li")];
    expect(rows.map((li) => li.querySelector("b")?.textContent)).toEqual(["step 12", "step 7"]);
    const steps = page.find<HTMLInputElement>(".vf-states input");
    steps.value = "60";
    rows[0]?.querySelector("button")?.click();
    await settle();
    expect(page.requests("resume_from")[0]?.args).toEqual({ name: "step-000012", steps: 60 });
    expect(page.find(".vf-states").hidden).toBe(true);
  });

  test("says that there is nothing to go on from", () => {
    run({ phase: "idle" });
    button("Resume from…")?.click();
    page.model.set("saved_state", { ...golden("state_saved"), states: [] });
    expect(page.find(".vf-states").textContent).toContain("No saved states below /home/me/vlmfreeze-runs");
  });

  test("is not offered while something runs", () => {
    run({ phase: "running" });
    expect(button("Resume from…")).toBeUndefined();
  });
});

test("the request is sent exactly so, and what a stranger saved is read without harm", () => {
  const wanted = golden("request_resume_from");
  expect(request(String(wanted.id), Number(wanted.rev), "resume_from", wanted.args as never)).toEqual(wanted);
  expect(readSaved({})).toBeNull();
  expect(readSaved({ folder: "x", states: [null, { name: 3 }], written: 5 })?.states).toEqual([
    { name: "", step: 0, seconds: 0, bytes: 0 },
    { name: "3", step: 0, seconds: 0, bytes: 0 },
  ]);
});
