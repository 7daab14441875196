/** Recorded runs on the page: read as the golden messages have them, listed, opened, compared. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { overlaid } from "../src/runs/run_plots";
import workbench from "../src/workbench";
import { readRuns } from "../src/wire/runs_state";
import { request } from "../src/wire/messages";
import type { View } from "../src/parts/view";
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
    const runs = readRuns(golden("state_runs"));
    expect(runs?.rows?.map((r) => [r.name, r.phase, r.loss, r.verdicts.warnings])).toEqual([
      ["run-20260101-120000", "finished", 0.5, 1],
      ["odd", "unreadable", NaN, 0],
    ]);
    expect([...(runs?.opened?.curve.loss ?? [])]).toEqual([1, 0.5]);
    expect(runs?.compared?.differences[0]).toEqual({
      part: "strategy",
      name: "vision tower tuning",
      here: "",
      there: "full",
    });
    const wanted = golden("request_runs_compare");
    expect(request(String(wanted.id), Number(wanted.rev), "runs_compare", wanted.args as never)).toEqual(wanted);
  });

  test("is something whatever comes", () => {
    expect(readRuns(null)).toBeNull();
    const odd = readRuns({
      v: 1,
      rows: [null, { verdicts: 3, loss: "x" }],
      opened: { row: 3, verdicts: [1, []], settings: [null], points: "x" },
      compared: { names: 3, differences: [4, ["evil"]] },
    });
    expect(odd?.rows?.[1]).toMatchObject({ name: "", loss: NaN, verdicts: { ok: 0, warnings: 0, failures: 0 } });
    expect(odd?.compared?.differences[1]).toMatchObject({ part: "strategy", name: "" });
  });

  test("runs of different lengths and looks lie over each other", () => {
    const view = { palette: () => ({ accent: "a", muted: "m", series: ["a", "b"] }) } as unknown as View;
    const [first, second] = readRuns(golden("state_runs"))?.compared?.curves ?? [];
    const data = overlaid(view, [
      { name: "x", curve: first as never },
      { name: "y", curve: second as never },
    ]);
    expect(data.x).toEqual([1]);
    expect(data.y).toEqual([[1], [1], [0.5]]);
  });
});

describe("on the page", () => {
  let page: Mounted;
  const show = (change: Golden = {}): void => page.model.set("runs_state", { ...golden("state_runs"), ...change });
  const button = (text: string): HTMLButtonElement | undefined =>
    [...page.el.querySelectorAll<HTMLButtonElement>(".vf-runscard button")].find(
      (b) => b.textContent === text && !b.closest("[hidden]"),
    );
  const text = (): string => page.find(".vf-runscard").textContent ?? "";

  beforeEach(async () => {
    stubBrowser();
    page = await mount(workbench, {
      runs_state: {
        ...golden("state_runs"),
        recording: false,
        rows: null,
        more: 0,
        opened: null,
        compared: null,
        report: "",
      },
    });
  });
  afterEach(() => {
    page.end.abort();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  test("draws a phase that is a name of every object", async () => {
    const rows = golden("state_runs").rows as Golden[];
    show({ rows: ["__proto__", "constructor"].map((phase) => ({ ...rows[0], name: phase, phase })) });
    await settle();
    expect(text()).toContain("__proto__");
    expect(text()).toContain("constructor");
    expect(text()).not.toContain("[object");
  });

  test("is one line while there are none, and records from now on into a folder", async () => {
    expect(page.find(".vf-runs-body").hidden).toBe(true);
    expect(text()).toContain("not recorded");
    const folder = page.find<HTMLInputElement>(".vf-runs-folder");
    expect(folder.value).toBe("runs");
    folder.value = "mine/runs";
    press(folder, "Enter");
    await settle();
    expect(page.requests("runs_record")[0]?.args).toEqual({ folder: "mine/runs" });
    show();
    expect(text()).toContain("recorded in /home/me/runs · 5 runs");
    button("Stop recording")?.click();
    await settle();
    expect(page.requests("runs_record")[1]?.args).toEqual({ folder: "" });
  });

  test("lists each run in a line, one that cannot be read with the reason", () => {
    show({ opened: null, compared: null });
    const [head, good, odd] = [...page.el.querySelectorAll<HTMLElement>(".vf-runs tr")];
    expect(head?.textContent).toContain("what trains");
    expect(good?.textContent).toContain("projector full 1e-320.5 eval 0.751 warning");
    expect(odd?.textContent).toContain("cannot be read: status.json is no plain file");
    expect(odd?.querySelector("button")?.disabled).toBe(true);
  });

  test("opens one, takes its strategy over unless that does not fit, and writes a report", async () => {
    show({ opened: null, compared: null });
    button("run-20260101-120000")?.click();
    await settle();
    expect(page.requests("runs_open")[0]?.args).toEqual({ name: "run-20260101-120000" });
    show({ compared: null });
    expect(button("Use its strategy")?.disabled).toBe(true);
    expect(button("Use its strategy")?.title).toBe("There is no 'head' here.");
    show({ compared: null, opened: { ...(golden("state_runs").opened as Golden), why_not: null } });
    button("Use its strategy")?.click();
    button("Report…")?.click();
    await settle();
    expect(page.requests("runs_take")[0]?.args).toEqual({ name: "run-20260101-120000" });
    expect(page.requests("runs_report")[0]?.args).toEqual({ name: "run-20260101-120000" });
    expect(text()).toContain("The report lies in /home/me/runs/other.html");
    show({ compared: null, problem: "The disk is full." });
    expect(text()).toContain("The disk is full.");
  });

  test("compares two that are marked, the older one first", async () => {
    const rows = golden("state_runs").rows as Golden[];
    show({
      opened: null,
      compared: null,
      rows: [rows[0], { ...rows[0], name: "older" }, { ...rows[0], name: "oldest" }],
    });
    expect(button("Compare the two")).toBeUndefined();
    for (const place of [0, 2]) {
      const box = page.el.querySelectorAll<HTMLInputElement>(".vf-runs input")[place] as HTMLInputElement;
      box.checked = true;
      box.dispatchEvent(new Event("change"));
    }
    expect(page.el.querySelectorAll<HTMLInputElement>(".vf-runs input")[1]?.disabled).toBe(true);
    button("Compare the two")?.click();
    await settle();
    expect(page.requests("runs_compare")[0]?.args).toEqual({ name: "oldest", other: "run-20260101-120000" });
    show();
    expect(text()).toContain("data: the same · equal bit for bit up to step 1");
    expect(text()).toContain("versiontorch2.12.02.13.0");
  });

  test("what a stranger wrote stays text", () => {
    const evil = "<img src=x onerror=alert(1)>";
    const rows = golden("state_runs").rows as Golden[];
    show({ rows: [{ ...rows[0], name: evil, sentence: evil, phase: evil, began: 1e300 }], folder: evil, report: evil });
    expect(page.el.querySelectorAll(".vf-runscard img")).toHaveLength(0);
    expect(text()).toContain(evil);
  });
});
