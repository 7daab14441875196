import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
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
beforeEach(async () => {
  stubBrowser();
  page = await mount(workbench);
});
afterEach(() => {
  page.end.abort();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const run = (change: Golden): void => page.model.set("run_state", { ...golden("state_run"), rows: 0, ...change });
const row = (label: string): HTMLElement => {
  const found = [...page.el.querySelectorAll<HTMLElement>(".vf-row")].find(
    (r) => r.querySelector(".vf-name")?.textContent === label,
  );
  if (!found) throw new Error(`no row ${label}`);
  return found;
};
const radios = (label: string): HTMLButtonElement[] => [
  ...row(label).querySelectorAll<HTMLButtonElement>("[role=radio]"),
];

describe("a component's row", () => {
  test("is a radio group with one tab stop, and arrows choose", async () => {
    const [frozen, lora] = radios("vision tower");
    expect(radios("vision tower").map((r) => [r.getAttribute("aria-checked"), r.tabIndex])).toEqual([
      ["true", 0],
      ["false", -1],
      ["false", -1],
    ]);
    frozen?.focus();
    press(frozen as Element, "ArrowRight");
    await settle();
    expect(page.requests("set_tuning")[0]?.args).toEqual({ targets: ["vision_tower"], tuning: "lora" });
    expect(lora?.getAttribute("aria-checked")).toBe("true");
    expect(document.activeElement).toBe(lora);
  });

  test("has none chosen and says mixed when the tuning is mixed", () => {
    const plan = golden("state_plan") as { components: Golden[] };
    page.model.set("plan_state", {
      ...plan,
      rev: 5,
      components: plan.components.map((c) => ({ ...c, tuning: "mixed" })),
    });
    expect(radios("projector").map((r) => r.getAttribute("aria-checked"))).toEqual(["false", "false", "false"]);
    expect(row("projector").querySelector<HTMLElement>(".vf-mixed")?.hidden).toBe(false);
  });

  test("takes a learning rate in place, and keeps the old one when it is none", async () => {
    const value = row("projector").querySelector<HTMLButtonElement>(".vf-value");
    const input = row("projector").querySelector<HTMLInputElement>("input");
    expect(value?.textContent).toBe("1e-3");
    value?.click();
    if (!input) throw new Error("no input");
    input.value = "much";
    press(input, "Enter");
    expect(row("projector").querySelector(".vf-wrong")?.textContent).toBe("a number such as 1e-3");
    expect(page.requests("set_lr")).toHaveLength(0);
    input.value = "5e-4";
    press(input, "Enter");
    await settle();
    expect(page.requests("set_lr")[0]?.args).toEqual({ target: "projector", lr: 5e-4 });
    expect(value?.textContent).toBe("5e-4");
  });

  test("says what a rank comes to with the alpha that stays, while it is typed", async () => {
    const at = row("language model");
    at.querySelector<HTMLButtonElement>('[aria-label^="rank"]')?.click();
    const input = at.querySelector<HTMLInputElement>('input[aria-label="rank"]');
    if (!input) throw new Error("no input");
    const hint = (): string | null | undefined => input.parentElement?.querySelector(".vf-hint")?.textContent;
    const type = (text: string): void => {
      input.value = text;
      input.dispatchEvent(new Event("input"));
    };
    expect(hint()).toBe("α 32, so the update is scaled by 2");
    type("8");
    expect(hint()).toBe("α 32, so the update is scaled by 4");
    type("many");
    expect(hint()).toBe("");
    press(input, "Escape");
    await settle();
    expect(hint()).toBe("");
    // Not beside numbers that bring nothing with them.
    expect(at.querySelectorAll(".vf-hint")).toHaveLength(2);
  });

  test("says that lora_B learns faster where LoRA+ is set, and only there", () => {
    const plan = golden("state_plan") as { components: Golden[] };
    expect(row("language model").textContent).not.toContain("(B ×");
    page.model.set("plan_state", {
      ...plan,
      rev: 5,
      components: plan.components.map((c) => (c.name === "language_model" ? { ...c, lr_ratio: 16 } : c)),
    });
    expect(row("language model").textContent).toContain("2e-4 (B ×16)");
    expect(row("projector").textContent).not.toContain("(B ×");
  });

  test("says how many of its modules carry LoRA where it is not all of them, and ends in no dot", () => {
    const plan = golden("state_plan") as { components: Golden[] };
    const line = (change: Golden): string => {
      page.model.set("plan_state", {
        ...plan,
        rev: Math.random(),
        components: plan.components.map((c) => (c.name === "language_model" ? { ...c, ...change } : c)),
      });
      return [...row("language model").querySelectorAll<HTMLElement>(".vf-row-line > span:not([hidden])")]
        .map((part) => part.innerText ?? part.textContent)
        .join("|");
    };
    expect(line({ targets: 28, adaptable: 28, blocks: { count: 4, last: 4 } })).toContain("28 targets");
    const some = line({ targets: 1, adaptable: 28, blocks: { count: 4, last: 1 } });
    expect(some).toContain("1 of 28 modules");
    expect(some).not.toMatch(/· *(\||$)/);
    expect(some).toMatch(/last 1.* of 4 blocks/);
    // Where the first block trains, nothing of the last ones is said.
    expect(line({ blocks: { count: 4, last: 1, are_last: false } })).not.toContain("last 1");
  });

  test("sends rank with the alpha that it has, and the last blocks", async () => {
    const set = (label: string, name: string, text: string): void => {
      row(label).querySelector<HTMLButtonElement>(`[aria-label^="${name}"]`)?.click();
      const input = row(label).querySelector<HTMLInputElement>(`input[aria-label="${name}"]`);
      if (!input) throw new Error(name);
      input.value = text;
      press(input, "Enter");
    };
    set("language model", "rank", "8");
    await settle();
    expect(page.requests("set_lora")[0]?.args).toEqual({ target: "language_model", rank: 8, alpha: 32 });
    page.answer(page.requests("set_lora")[0] ?? {}, { rev: 5 });
    await settle();
    set("vision tower", "number of last blocks that train", "3");
    expect(row("vision tower").querySelector(".vf-wrong:not(:empty)")?.textContent).toBe("a whole number from 0 to 2");
    set("vision tower", "number of last blocks that train", "1");
    await settle();
    expect(page.requests("set_blocks")[0]?.args).toEqual({ component: "vision_tower", last: 1 });
  });
});

describe("weights", () => {
  test("are loaded from the page where there are some to load, in the dtype that one chooses", async () => {
    run({ phase: "plan_only", can_load: true, can_run: false, why_not: "The weights are not loaded." });
    const button = [...page.el.querySelectorAll("button")].find((b) => b.textContent === "Load weights");
    expect(button?.hidden).toBe(false);
    expect([...page.el.querySelectorAll("button")].find((b) => b.textContent === "Run")?.hidden).toBe(true);
    page.find<HTMLSelectElement>("[aria-label='Load weights as']").value = "4bit";
    button?.click();
    await settle();
    expect(page.requests("load")[0]?.args).toEqual({ dtype: "4bit", device: "" });
    run({ phase: "loading", can_load: false, step: 34, steps: 80, eta_seconds: 12, can_run: false });
    expect(page.find(".vf-status").textContent).toBe("loading weights · 34 / 80 tensors · 12 s left");
    expect(page.find(".vf-load").hidden).toBe(true);
  });

  test("go to the device that one chooses, and the form says what each dtype takes and what 4 bits need", async () => {
    const loading = {
      v: 1,
      devices: [
        ["", "GPU A, 23 of 24 GiB free"],
        ["auto", "spread over all devices"],
        ["cpu", "CPU"],
      ],
      four_bits: false,
      bytes: { bfloat16: 14.2e9 },
    };
    const planned = await mount(workbench, {
      load_state: loading,
      run_state: { ...golden("state_run"), phase: "plan_only", can_load: true, rows: 0 },
    });
    const [dtype, device] = [...planned.el.querySelectorAll<HTMLSelectElement>(".vf-load select")];
    expect(dtype?.textContent).toContain("bfloat16 · 14.2 GB");
    expect(dtype?.querySelector<HTMLOptionElement>("[value='4bit']")?.disabled).toBe(true);
    if (device) device.value = "cpu";
    planned.find(".vf-load button").click();
    await settle();
    expect(planned.requests("load")[0]?.args).toEqual({ dtype: "auto", device: "cpu" });
    planned.end.abort();
  });
});

describe("answers", () => {
  test("show picture, before, now and wanted, and mark what is right", async () => {
    vi.stubGlobal("URL", { createObjectURL: () => "blob:picture", revokeObjectURL: () => undefined });
    const watched = await mount(workbench, { data_state: golden("state_data"), run_state: golden("state_run") });
    const card = watched.find(".vf-answers");
    expect(card.hidden).toBe(false);
    expect([...card.querySelectorAll("dd")].map((d) => d.textContent)).toEqual([
      "describe:",
      "a red",
      "a red cross",
      "a red cross",
    ]);
    expect(card.querySelector("[data-right]")?.getAttribute("data-right")).toBe("true");
    expect(card.querySelector("img")?.getAttribute("src")).toBe("blob:picture");
    expect(card.querySelector("h3")?.textContent).toBe("answers at step 30");
    watched.end.abort();
  });

  test("are absent where nothing was asked", () => {
    expect(page.find(".vf-answers").hidden).toBe(true);
  });
});

describe("the data", () => {
  test("is shown with pictures, and what is learned is marked", async () => {
    vi.stubGlobal("URL", { createObjectURL: () => "blob:picture", revokeObjectURL: () => undefined });
    const state = golden("state_data");
    const shown = await mount(workbench, { data_state: { ...state, preview: null } });
    const button = [...shown.el.querySelectorAll("button")].find((b) => b.textContent === "Show data");
    button?.click();
    await settle();
    expect(shown.requests("preview")[0]?.args).toEqual({ first: 0 });
    shown.model.set("data_state", state);
    expect([...shown.el.querySelectorAll(".vf-datarow mark")].map((m) => m.textContent)).toEqual(["a red cross</s>"]);
    expect(shown.find(".vf-datarow p").textContent).toBe("<s><image>×16 describe:a red cross</s>");
    expect(shown.el.querySelectorAll(".vf-datarow img")).toHaveLength(1);
    expect(shown.find(".vf-report").textContent).toContain("16 used");
    [...shown.el.querySelectorAll("button")].find((b) => b.textContent === "Later rows")?.click();
    await settle();
    expect(shown.requests("preview")[1]?.args).toEqual({ first: 4 });
    [...shown.el.querySelectorAll("button")].find((b) => b.textContent === "Hide")?.click();
    expect(shown.find(".vf-rows").hidden).toBe(true);
    shown.end.abort();
  });

  test("cannot be asked for where nobody can read its tokens", () => {
    expect(page.find(".vf-data").hidden).toBe(true);
  });
});

describe("a probe", () => {
  test("is asked for by a button, and shows findings with remedies and the four links", async () => {
    const button = [...page.el.querySelectorAll("button")].find((b) => b.textContent === "Probe");
    button?.click();
    await settle();
    expect(page.requests("probe")[0]?.args).toEqual({ open: false });
    page.model.set("probe_state", { ...golden("state_probe"), open: null });
    const card = page.find(".vf-probe");
    expect(card.hidden).toBe(false);
    expect(card.querySelector(".vf-probe-verdict")?.textContent).toBe("1 finding.");
    expect(card.querySelector(".vf-warning")?.textContent).toContain(
      "the batches hold no pictures. Give batches with pixel_values",
    );
    expect(
      [...card.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent)),
    ).toEqual([
      ["vision tower", "frozen", "–", "–", "–", "–", "–"],
      ["projector", "full", "4 of 4", "4 of 4", "2 of 4", "2 of 4", "1e-3"],
    ]);
  });

  test("where a finding lies is selected on the map with a click", () => {
    page.model.set("probe_state", golden("state_probe"));
    page.find(".vf-probe .vf-where").click();
    expect(page.find(".vf-selection").textContent).toContain("linear_1");
  });

  test("of what frozen parts would receive turns the map to those colours, and says when the strategy has changed since", async () => {
    page.model.set("probe_state", { ...golden("state_probe"), probe: 1, open: null });
    const ask = page.find(".vf-probe-head button");
    ask.click();
    await settle();
    expect(page.requests("probe")[0]?.args).toEqual({ open: true });
    page.model.set("probe_state", golden("state_probe"));
    expect(page.find("option[value=open_norm]").closest("select")?.value).toBe("open_norm");
    expect([...page.el.querySelectorAll(".vf-links tbody td:last-child")].map((cell) => cell.textContent)).toEqual([
      "3",
      "4",
    ]);
    expect(page.find(".vf-probe h3").textContent).not.toContain("changed since");
    page.model.set("plan_state", { ...golden("state_plan"), rev: 5 });
    expect(page.find(".vf-probe h3").textContent).toContain("The strategy has changed since.");
  });
});

describe("the header", () => {
  test("tells what is counted apart, and marks components that were guessed", async () => {
    expect(page.find(".vf-remarks").textContent).toBe("buffers apart: 16 elements, 64 B");
    const guess = await mount(workbench, { tree_state: { ...golden("state_tree"), is_guess: true, facts: [] } });
    expect(guess.find(".vf-remarks .vf-guess").textContent).toBe("guessed components");
    guess.end.abort();
  });

  test("says how much trains, in the strategy's own sentence", () => {
    expect(page.find(".vf-facts").textContent).toBe("408 parameters · 72 train (23 %) · ");
    expect(page.find(".vf-sentence").textContent).toBe(golden("state_plan").sentence);
  });

  test("offers the presets with their sources, by mouse and by key", async () => {
    const button = page.find("[aria-haspopup=menu]");
    press(button, "ArrowDown");
    const item = page.find("[role=menuitem]");
    expect(document.activeElement).toBe(item);
    expect(item.textContent).toBe("Projector aloneprojector full");
    press(item, "l");
    const published = document.activeElement as HTMLElement;
    expect(published.textContent).toBe("pretrainprojector full 1e-3 · 256 rows, 1 epoch, cosine, warm-up 3 %");
    expect(published.title).toContain("scripts/v1_5/pretrain.sh");
    expect(page.find(`#${published.closest("[role=group]")?.getAttribute("aria-labelledby")}`).textContent).toContain(
      "haotian-liu/LLaVA",
    );
    press(published, "Escape");
    expect(document.activeElement).toBe(button);
    published.click();
    await settle();
    expect(page.requests("preset")[0]?.args).toEqual({ name: "llava-1.5/pretrain" });
  });

  test("says what the source of a chosen stage says, and lets bursts have its schedule", async () => {
    page.model.set("plan_state", { ...golden("state_plan"), rev: 9, strategy_name: "llava-1.5/pretrain" });
    const line = page.find(".vf-presetline");
    expect(line.textContent).toContain("LLaVA-1.5, pretrain: 256 rows, 1 epoch, cosine, warm-up 3 % · 558 K captions");
    expect([...line.querySelectorAll("a")].map((a) => a.getAttribute("href"))).toEqual([
      "https://github.com/haotian-liu/LLaVA/issues/1380",
      "https://github.com/haotian-liu/LLaVA",
    ]);
    line.querySelector("button")?.click();
    await settle();
    const [request] = page.requests("use_settings");
    expect(request?.args).toEqual({ name: "llava-1.5/pretrain" });
    page.answer(request as Golden, { result: { changed: "scheduler cosine" } });
    await settle();
    expect(line.textContent).toContain("Bursts now have scheduler cosine.");
    page.model.set("plan_state", { ...golden("state_plan"), rev: 10 });
    expect(line.hidden).toBe(true);
  });
});

describe("the burst", () => {
  const button = (text: string): HTMLButtonElement | undefined =>
    [...page.el.querySelectorAll<HTMLButtonElement>(".vf-burst button")].find(
      (b) => b.textContent === text && !b.hidden,
    );

  test("runs the steps that are asked for", async () => {
    const steps = page.find<HTMLInputElement>(".vf-steps");
    expect(steps.value).toBe("50");
    steps.value = "7";
    steps.dispatchEvent(new Event("input"));
    button("Run")?.click();
    await settle();
    expect(page.requests("run")[0]?.args).toEqual({ steps: 7 });
  });

  test("offers in each phase what can be done in it", () => {
    const offered = (phase: string): string[] => {
      run({ phase });
      return [...page.el.querySelectorAll<HTMLButtonElement>(".vf-burst button")]
        .filter((b) => !b.closest("[hidden]") && !b.hidden && !b.disabled)
        .map((b) => b.textContent ?? "");
    };
    expect(offered("running")).toEqual(["Pause", "Stop"]);
    expect(offered("paused")).toEqual(["Resume", "Stop"]);
    expect(offered("preparing")).toEqual(["Stop"]);
    expect(offered("stopping")).toEqual([]);
    expect(offered("probing")).toEqual([]);
    expect(offered("deciding")).toEqual(["Probe", "Keep", "Discard (restore)"]);
    expect(offered("restoring")).toEqual([]);
  });

  test("says where it is, as a progress bar and in words", () => {
    run({ phase: "running", memory_bytes: 21.1e9, estimate_bytes: 21.4e9 });
    const bar = page.find("[role=progressbar]");
    expect([bar.getAttribute("aria-valuenow"), bar.getAttribute("aria-valuemax")]).toEqual(["34", "50"]);
    expect(page.find(".vf-status").textContent).toBe(
      "step 34 / 50 · 0.41 s/step · 6 s left · 6,240 tok/s · peak 21.1 GB (est. 21.4 GB)",
    );
  });

  test("cannot start while the plan is refused, and says why", () => {
    const plan = golden("state_plan") as { warnings: Golden[] };
    page.model.set("plan_state", {
      ...plan,
      rev: 5,
      warnings: [{ ...plan.warnings[0], severity: "refusal", message: "Nothing trains." }],
    });
    expect(button("Run")?.disabled).toBe(true);
    expect(page.find(".vf-note").textContent).toBe("Nothing trains.");
    run({ phase: "plan_only", can_run: false, why_not: "There are no batches." });
    expect(page.find(".vf-note").textContent).toContain("There are no batches.");
  });

  test("shows verdicts with a mark and a word for each", () => {
    const { verdicts } = golden("state_run") as { verdicts: Golden[] };
    run({
      verdicts: [
        ...verdicts,
        { ...verdicts[0], label: "head", status: "failure", text: "no gradient" },
        { ...verdicts[0], status: "pending" },
      ],
    });
    expect([...page.el.querySelectorAll(".vf-verdicts i")].map((i) => i.textContent)).toEqual(["✓", "✓", "✗", "…"]);
    expect(page.find(".vf-verdicts li:nth-child(3)").textContent).toContain("no: no gradient");
  });

  test("shows errors with their parts and the traceback, until dismissed", () => {
    run({
      phase: "failed",
      error: {
        code: "x",
        message: "The burst failed.",
        expected: "a finite loss",
        found: "NaN",
        remedy: "Lower the rate.",
        traceback: "line 1",
      },
    });
    expect(page.find(".vf-error").textContent).toContain("Found");
    expect(page.find(".vf-error pre").textContent).toBe("line 1");
    page.find(".vf-errors [aria-label=Dismiss]").click();
    expect(page.el.querySelectorAll(".vf-error")).toHaveLength(0);
  });

  test("asks for the selected module's gradient norms, at most once a second", async () => {
    run({ phase: "running", rows: 0 });
    const map = page.find(".vf-map");
    map.focus();
    press(map, "Home");
    press(map, "PageDown");
    await settle();
    expect(page.requests("series").map((request) => request.args)).toEqual([{ burst: 2, node: 3 }]);
    page.answer(page.requests("series")[0] ?? {}, { result: { burst: 2, node: 3, values: [1, { f: "nan" }] } });
    for (let i = 0; i < 5; i++)
      page.model.message({ v: 1, kind: "rows", burst: 2, first: i, count: 1, width: 11 }, [
        new DataView(new Float64Array(11).buffer),
      ]);
    await settle();
    expect(page.requests("series")).toHaveLength(1);
  });
});

test("a restarted kernel greys the page out and says what to do", async () => {
  page.channel.trigger("comm:close");
  await settle();
  expect(page.find(".vf-banner").textContent).toBe("The kernel was restarted: run the cell again.");
  expect(radios("projector").every((radio) => radio.disabled)).toBe(true);
  expect(page.find(".vf").dataset.connection).toBe("gone");
});

test("without a subshell the page says when Stop acts", async () => {
  run({ phase: "running" });
  for (let i = 0; i < 200 && page.requests("hello").length < 5; i++) {
    for (const request of page.requests("hello")) page.answer(request, { result: { subshell: null } });
    await new Promise((done) => setTimeout(done, 20));
  }
  page.answer(page.requests("hello")[4] ?? {}, { result: { subshell: null } });
  await settle();
  expect(page.find(".vf-note").textContent).toContain("Stop acts when the running cell ends.");
});
