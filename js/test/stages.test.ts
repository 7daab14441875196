/** Stages on the page: read as the golden messages have them, chosen, run, decided. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fitted } from "../src/burst/sections";
import workbench from "../src/workbench";
import { readStages } from "../src/wire/stages_state";
import { request } from "../src/wire/messages";
import { golden, type Golden } from "./golden";
import { mount, press, settle, stubBrowser, type Mounted } from "./mounted";

vi.mock("uplot", () => ({
  default: class {
    setData(): void {}
    setSize(): void {}
    destroy(): void {}
  },
}));

describe("what is read", () => {
  test("has the golden values", () => {
    const chosen = readStages(golden("state_stages"))?.chosen;
    expect(chosen?.stages.map((s) => [s.name, s.status, s.steps, s.taken])).toEqual([
      ["align", "done", 3, 3],
      ["tune", "coming", 2, 0],
    ]);
    expect([...(chosen?.stages[0]?.curve.loss ?? [])]).toEqual([4, 3, 2.5]);
    expect([...(chosen?.stages[0]?.curve.evaluated ?? [])]).toEqual([NaN, 3.5, 3.25]);
    const wanted = golden("request_stages_steps");
    expect(request(String(wanted.id), Number(wanted.rev), "stages_steps", wanted.args as never)).toEqual(wanted);
  });

  test("is something whatever comes", () => {
    expect(readStages({})).toBeNull();
    expect(
      readStages({
        v: 1,
        choices: [null, 3],
        chosen: { stages: [null, { steps: "x", status: "evil", points: 3, seconds: "1" }], seconds: { f: "nan" } },
      })?.chosen?.stages[1],
    ).toMatchObject({ name: "", steps: 1, status: "coming" });
  });
});

describe("on the page", () => {
  let page: Mounted;
  const state = (change: Golden = {}, more: Golden = {}): Golden => ({
    ...golden("state_stages"),
    chosen: { ...(golden("state_stages").chosen as Golden), ...change },
    ...more,
  });
  const run = (change: Golden): void =>
    page.model.set("run_state", { ...golden("state_run"), rows: 0, can_load: false, ...change });
  const button = (text: string): HTMLButtonElement | undefined =>
    [...page.el.querySelectorAll<HTMLButtonElement>(".vf-stagescard button")].find(
      (b) => b.textContent === text && !b.closest("[hidden]"),
    );

  beforeEach(async () => {
    stubBrowser();
    page = await mount(workbench, { stages_state: { ...golden("state_stages"), chosen: null } });
    run({ phase: "idle", burst: 0 });
  });
  afterEach(() => {
    page.end.abort();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  test("a published recipe is chosen from a list", async () => {
    const choose = page.find<HTMLSelectElement>(".vf-stagescard select");
    expect([...choose.options].map((o) => o.textContent)).toEqual(["no stages", "LLaVA-1.5: pretrain → finetune"]);
    expect(page.find(".vf-stages-body").hidden).toBe(true);
    choose.value = "llava-1.5";
    choose.dispatchEvent(new Event("change"));
    await settle();
    expect(page.requests("stages_choose")[0]?.args).toEqual({ name: "llava-1.5" });
  });

  test("the present strategy becomes a stage of a name", async () => {
    const name = page.find<HTMLInputElement>(".vf-stage-name");
    name.value = " align ";
    press(name, "Enter");
    await settle();
    expect(page.requests("stages_add")[0]?.args).toEqual({ name: "align" });
  });

  test("each stage says what trains, on what, and what it took", () => {
    page.model.set("stages_state", state());
    const [first, second] = [...page.el.querySelectorAll<HTMLElement>(".vf-stage")];
    expect(first?.textContent).toContain("1 aligndone");
    expect(first?.textContent).toContain("projector full 1e-3");
    expect(first?.textContent).toContain("558 K captions");
    expect(first?.textContent).toContain("3 steps in 0.75 s · peak 21.0 GB");
    expect(first?.textContent).toContain("1 part does not train.");
    expect(first?.querySelector<HTMLElement>(".vf-stage-what")?.title).toContain("Made for another model.");
    expect(second?.textContent).toContain("Nothing trains.");
    expect(page.find(".vf-stages-bar").textContent).toContain("3 of 5 steps · 0.75 s in all · largest peak 21.0 GB");
    expect(button("Run tune")?.disabled).toBe(true);
    expect(page.find<HTMLSelectElement>(".vf-stagescard select").disabled).toBe(true);
  });

  test("what is on the model is kept or discarded, not while a stage runs", async () => {
    page.model.set("stages_state", state());
    button("Discard all (restore)")?.click();
    button("Keep all")?.click();
    await settle();
    expect(page.requests("stages_decide").map((w) => w.args)).toEqual([{ keep: false }, { keep: true }]);
    const stages = [
      (state().chosen as { stages: Golden[] }).stages[0],
      { ...(state().chosen as { stages: Golden[] }).stages[1], status: "running", burst: 2, refusal: "" },
    ];
    page.model.set("stages_state", state({ stages }));
    run({ phase: "running", burst: 2, step: 1, steps: 2 });
    expect(button("Keep all")).toBeUndefined();
    expect(page.el.querySelectorAll(".vf-stage")[1]?.textContent).toContain("step 1 / 2");
    button("Stop")?.click();
    await settle();
    expect(page.requests("stop")).toHaveLength(1);
    page.model.set(
      "stages_state",
      state({ active: false, outcome: "discarded", restored: { tensors: 80, changed: 0 } }),
    );
    run({ phase: "idle", burst: 2 });
    expect(page.find(".vf-stagescard").textContent).toContain("Nothing trains.");
  });

  test("after a discard it says what was read again", () => {
    const stages = (state().chosen as { stages: Golden[] }).stages.slice(0, 1);
    page.model.set(
      "stages_state",
      state({ stages, active: false, outcome: "discarded", restored: { tensors: 80, changed: 0 } }),
    );
    expect(page.find(".vf-stagescard").textContent).toContain(
      "80 of 80 tensors are bit for bit as before the first stage.",
    );
  });

  test("the steps of a stage are changed in place", async () => {
    page.model.set("stages_state", state());
    const [done, coming] = [...page.el.querySelectorAll<HTMLButtonElement>(".vf-stage .vf-value")];
    expect([done?.disabled, coming?.disabled]).toEqual([true, false]);
    coming?.click();
    const input = page.find<HTMLInputElement>(".vf-stage:nth-child(2) .vf-inline");
    input.value = "25";
    press(input, "Enter");
    await settle();
    expect(page.requests("stages_steps")[0]?.args).toEqual({ name: "tune", steps: 25 });
  });
});

test("a name that has no room ends early", () => {
  const width = (text: string): number => text.length;
  expect([fitted("pretrain", width, 10), fitted("pretrain", width, 5), fitted("pretrain", width, 1)]).toEqual([
    "pretrain",
    "pret…",
    "",
  ]);
});
