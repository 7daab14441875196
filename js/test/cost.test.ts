import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { costBar, widths } from "../src/controls/cost_bar";
import { parseOptional } from "../src/controls/cost_controls";
import { readCost } from "../src/wire/cost_state";
import { request } from "../src/wire/messages";
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

const PARTS = [
  { name: "weights", label: "weights", bytes: 60 },
  { name: "activations", label: "activations", bytes: 40 },
];

describe("the wire", () => {
  test("a cost reads whole, and the garbled one reads as none", () => {
    const cost = readCost(golden("state_cost"));
    expect(cost).toMatchObject({
      number: 7,
      status: "ready",
      fits: true,
      total_bytes: 21_400_000_000,
      has_batch: true,
    });
    expect(cost?.parts.reduce((sum, part) => sum + part.bytes, 0)).toBe(cost?.total_bytes);
    expect(cost?.limit).toMatchObject({ label: "RTX 4090" });
    expect(cost?.menus.device[2]).toEqual(["H200", "H200, 141 GB"]);
    expect(cost?.settings).toMatchObject({ rows: 4, picture: null, checkpointing: false });
    expect([...(cost?.by_node ?? [])].slice(0, 3)).toEqual([4000, 3600, 1000]);
    for (const value of [null, 7, {}, { number: "x" }, { parts: [] }]) expect(readCost(value)).toBeNull();
    expect(() =>
      readCost({
        number: 1,
        parts: [7],
        menus: [],
        limit: 3,
        switches: [null],
        comparison: 5,
        settings: "x",
        by_node: "x",
      }),
    ).not.toThrow();
  });

  test("the request for other assumptions is sent exactly so", () => {
    const wanted = golden("request_cost");
    expect(request(String(wanted.id), Number(wanted.rev), "cost", wanted.args as never)).toEqual(wanted);
  });
});

describe("the bar", () => {
  test("is measured against the limit, and shows where it is crossed", () => {
    expect(widths({ parts: PARTS, total: 100, limit: 200 })).toEqual({ parts: [30, 20], pending: 0, limit: null });
    expect(widths({ parts: PARTS, total: 100, limit: 50 })).toEqual({ parts: [60, 40], pending: 0, limit: 50 });
  });

  test("of very little beside a large GPU shows its parts all the same", () => {
    expect(widths({ parts: PARTS, total: 100, limit: 1e9 }).parts).toEqual([60, 40]);
  });

  test("leaves room for what is not known yet, and never runs over", () => {
    for (const limit of [null, 50, 101, 200, 1e9]) {
      const drawn = widths({ parts: PARTS, total: 100, limit, pending: "estimating" });
      expect(drawn.pending).toBeGreaterThan(0);
      expect(drawn.parts.reduce((a, b) => a + b, 0) + drawn.pending).toBeLessThanOrEqual(100.001);
    }
  });

  test("says its parts in words", () => {
    expect(costBar({ parts: PARTS, total: 100, limit: null }).getAttribute("aria-label")).toBe(
      "weights 60 B, activations 40 B",
    );
  });
});

test("a number field takes whole numbers in its range, and nothing where that means as it is", () => {
  expect(parseOptional(" 8 ", [1, 10], false)).toBe(8);
  expect(parseOptional("", [1, 10], true)).toBeNull();
  for (const text of ["", "0", "11", "2.5", "x", "1e99"]) expect(parseOptional(text, [1, 10], false)).toBeUndefined();
});

describe("the card", () => {
  let page: Mounted;
  beforeEach(async () => {
    stubBrowser();
    page = await mount(workbench);
  });
  afterEach(() => {
    page.end.abort();
    document.body.replaceChildren();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  const card = (): HTMLElement => page.find(".vf-cost");
  const show = (change = {}): void => page.model.set("cost_state", { ...golden("state_cost"), ...change });

  test("shows the plan's own sum until Python has said more", () => {
    expect(card().textContent).toContain("Memory before activations");
    expect(page.find<HTMLSelectElement>(".vf-cost select").hidden).toBe(true);
    show();
    expect(card().textContent).toContain("Cost of one step");
    expect(page.find(".vf-cost-fit").textContent).toBe("Fits with batch 4, not 8; 5 rows at most.");
    expect(page.find(".vf-cost .vf-total").textContent).toBe("21.4 of 23.9 GB");
    expect([...card().querySelectorAll(".vf-bar span")].map((piece) => piece.getAttribute("data-part"))).toEqual([
      "weights",
      "adapters",
      "gradients",
      "optimizer",
      "activations",
    ]);
  });

  test("says in place that activations are still being estimated", () => {
    show({ status: "estimating", fits: null, fit: "", switches: null });
    expect(card().querySelector(".vf-bar [data-part=pending]")).not.toBeNull();
    expect(card().textContent).toContain("activations: estimating…");
    expect(page.find(".vf-cost .vf-total").textContent).toMatch(/^at least /);
  });

  test("shows bounds and the reason where the code cannot be traced", () => {
    show({
      status: "bound",
      upper_bytes: 40e9,
      fits: null,
      fit: "May or may not fit.",
      notes: ["Its code cannot be traced."],
    });
    expect(page.find(".vf-cost .vf-total").textContent).toBe("21.4 to 40.0 of 23.9 GB");
    expect(card().textContent).toContain("Its code cannot be traced.");
  });

  test("both ends of a range stand in the unit of the larger", () => {
    show({
      status: "bound",
      total_bytes: 261_200,
      upper_bytes: 7_674_264_600,
      limit: null,
      parts: [{ name: "weights", label: "weights", bytes: 261_200 }],
    });
    expect(page.find(".vf-cost .vf-total").textContent).toBe("<0.1 to 7.7 GB");
  });

  test("asks for another GPU, batch or recomputation", async () => {
    show();
    const gpu = page.find<HTMLSelectElement>(".vf-cost select[aria-label=GPU]");
    gpu.value = "H200";
    gpu.dispatchEvent(new Event("change"));
    const rows = page.find<HTMLInputElement>(".vf-cost input[aria-label='rows of a micro-batch']");
    expect(rows.value).toBe("4");
    rows.value = "";
    rows.dispatchEvent(new Event("change"));
    rows.value = "-3";
    rows.dispatchEvent(new Event("change"));
    page.find<HTMLInputElement>(".vf-cost input[type=checkbox]").click();
    await settle();
    expect(page.requests("cost").map((w) => w.args)).toEqual([
      { change: { device: "H200" } },
      { change: { rows: null } },
      { change: { checkpointing: true } },
    ]);
    expect(rows.getAttribute("aria-invalid")).toBe("true");
  });

  test("does what a switch says", async () => {
    show();
    const [first, second] = [...card().querySelectorAll<HTMLElement>(".vf-cost-switches button")];
    first?.click();
    second?.click();
    await settle();
    expect(page.requests("cost")[0]?.args).toEqual({ change: { checkpointing: true } });
    expect(page.requests("set_tuning")[0]?.args).toEqual({ targets: ["projector"], tuning: "frozen" });
  });

  test("sets a burst beside what was foretold of it", () => {
    show();
    expect([...card().querySelectorAll(".vf-cost-measured tbody tr > *")].map((cell) => cell.textContent)).toEqual([
      "peak memory",
      "21.4 GB",
      "21.1 GB",
      "+1.4 %",
    ]);
    show({ number: 8, comparison: null });
    expect(page.find(".vf-cost-measured").textContent).toBe("");
  });

  test("offers the kind of sharing only where GPUs share", () => {
    show();
    const scheme = (): HTMLElement =>
      [...card().querySelectorAll("label")].find((label) => label.textContent?.startsWith("shared by")) as HTMLElement;
    expect(scheme().hidden).toBe(true);
    show({ number: 8, settings: { ...(golden("state_cost").settings as object), gpus: 4 } });
    expect(scheme().hidden).toBe(false);
  });

  test("every control has a name", () => {
    show();
    for (const control of card().querySelectorAll("input, select, button, summary")) {
      const name = control.getAttribute("aria-label") ?? (control.closest("label")?.textContent || control.textContent);
      expect(name?.trim(), control.outerHTML).toBeTruthy();
    }
  });

  test("a hostile label stays text", () => {
    show({
      parts: [{ name: "weights", label: "<img src=x onerror=alert(1)>", bytes: 5 }],
      notes: ["<b>x</b>"],
      fit: "<i>y</i>",
    });
    expect(card().querySelector("img, .vf-cost-note b, .vf-cost-fit i")).toBeNull();
  });
});
