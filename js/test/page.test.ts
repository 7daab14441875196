import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeModel } from "../dev/fake_model";
import { Page } from "../src/model/page";
import { Rows } from "../src/model/rows";
import type { RowsEvent } from "../src/wire/messages";
import { golden, type Golden } from "./golden";
import { traits } from "./mounted";

let model: FakeModel;
let channel: FakeModel;
let page: Page;

async function open(change: Golden = {}): Promise<void> {
  model = new FakeModel(traits(change));
  channel = new FakeModel({});
  page = new Page(model);
  page.connect({ getModel: () => Promise.resolve(channel) });
  await vi.advanceTimersByTimeAsync(1);
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const requests = (name: string): Golden[] => (channel.sent as Golden[]).filter((request) => request.name === name);
const answer = async (request: Golden | undefined, more: Golden = {}): Promise<void> => {
  channel.message({ v: 1, kind: "reply", id: request?.id, ok: true, rev: 4, result: {}, ...more });
  await vi.advanceTimersByTimeAsync(1);
};
const rows = (first: number, count: number, burst = 2, width = 11): void => {
  const values = Float64Array.from({ length: count * width }, (_, i) => first + Math.floor(i / width) + 1);
  model.message({ v: 1, kind: "rows", burst, first, count, width }, [new DataView(values.buffer)]);
};
const running = (): Golden => ({ run_state: { ...golden("state_run"), rows: 0 } });

describe("rows", () => {
  const event = (first: number, count: number, burst = 1): RowsEvent => ({
    kind: "rows",
    burst,
    first,
    count,
    width: 7,
    values: Float64Array.from({ length: count * 7 }, (_, i) => first + Math.floor(i / 7)),
  });

  test("are held once each, whatever is sent again", () => {
    const held = new Rows();
    expect([held.take(event(0, 3)), held.take(event(0, 3)), held.take(event(1, 4)), held.take(event(2, 1))]).toEqual([
      "new",
      "nothing",
      "new",
      "nothing",
    ]);
    expect([...held.fixed("step")]).toEqual([0, 1, 2, 3, 4]);
  });

  test("with a gap change nothing, and a new burst begins from nothing", () => {
    const held = new Rows();
    held.take(event(0, 2));
    expect(held.take(event(3, 2))).toBe("gap");
    expect(held.length).toBe(2);
    expect(held.take(event(0, 1, 2))).toBe("new");
    expect([held.burst, held.length]).toEqual([2, 1]);
    expect(held.take(event(1, 5, 1))).toBe("nothing");
  });

  test("grow to thousands", () => {
    const held = new Rows();
    for (let i = 0; i < 5000; i += 7) held.take(event(i, 7));
    expect(held.length).toBeGreaterThanOrEqual(5000);
    expect(held.fixed("loss")[4321]).toBe(4321);
  });
});

describe("a page", () => {
  test("that opens with rows in Python asks for them, and sends nothing else but hello", async () => {
    await open({ run_state: golden("state_run") });
    expect(requests("snapshot").map((request) => request.args)).toEqual([{ burst: 2, from: 0 }]);
    await vi.advanceTimersByTimeAsync(3000);
    expect(new Set((channel.sent as Golden[]).map((request) => request.name))).toEqual(new Set(["hello", "snapshot"]));
  });

  test("that finds a gap asks once for what is missing", async () => {
    await open(running());
    rows(0, 3);
    rows(5, 2);
    rows(7, 2);
    expect(requests("snapshot").map((request) => request.args)).toEqual([{ burst: 2, from: 3 }]);
    await answer(requests("snapshot")[0]);
    rows(3, 6);
    model.set("run_state", { ...golden("state_run"), rows: 9 });
    expect(page.rows.length).toBe(9);
    await vi.advanceTimersByTimeAsync(3000);
    expect(requests("snapshot")).toHaveLength(1);
  });

  test("that lost the last rows notices, though no row follows", async () => {
    await open(running());
    rows(0, 3);
    model.set("run_state", { ...golden("state_run"), phase: "deciding", rows: 5 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(requests("snapshot").map((request) => request.args)).toEqual([{ burst: 2, from: 3 }]);
  });

  test("shows an edit at once, and what Python says afterwards", async () => {
    await open();
    void page.request("set_tuning", { targets: ["vision_tower"], tuning: "full" });
    expect(page.plan?.components[0]?.tuning).toBe("full");
    expect([...(page.plan?.tuning ?? [])].slice(2, 6)).toEqual([2, 2, 2, 2]);
    await answer(requests("set_tuning")[0], { rev: 5 });
    expect(page.plan?.components[0]?.tuning).toBe("full");
    model.set("plan_state", { ...golden("state_plan"), rev: 5 });
    expect(page.plan?.components[0]?.tuning).toBe("frozen");
    expect(page.edits.waiting).toBe(false);
  });

  test("sends edits one after another, each against the revision that the last one made", async () => {
    await open();
    void page.request("set_tuning", { targets: ["head"], tuning: "full" });
    void page.request("set_tuning", { targets: ["embeddings"], tuning: "full" });
    expect(requests("set_tuning").map((request) => request.rev)).toEqual([4]);
    await answer(requests("set_tuning")[0], { rev: 5 });
    expect(requests("set_tuning").map((request) => request.rev)).toEqual([4, 5]);
    expect(page.plan?.components.slice(3).map((c) => c.tuning)).toEqual(["full", "full"]);
  });

  test("takes a refused edit back and says why", async () => {
    await open();
    void page.request("set_tuning", { targets: ["vision_tower"], tuning: "full" });
    const { error } = golden("reply_error") as { error: Golden };
    await answer(requests("set_tuning")[0], { ok: false, rev: 5, error });
    expect(page.plan?.components[0]?.tuning).toBe("frozen");
    expect(page.errors.map((e) => e.code)).toEqual(["stale"]);
    page.dismiss(page.errors[0] as never);
    expect(page.errors).toHaveLength(0);
  });

  test("hears a reply that comes after ten seconds", async () => {
    await open();
    void page.request("set_tuning", { targets: ["head"], tuning: "full" });
    await vi.advanceTimersByTimeAsync(11_000);
    expect(page.client.overdue).toBeGreaterThan(0);
    await answer(requests("set_tuning")[0], { rev: 5 });
    model.set("plan_state", { ...golden("state_plan"), rev: 5 });
    expect(page.edits.waiting).toBe(false);
  });

  test("puts the error of a failed burst on the shelf, once", async () => {
    await open(running());
    const failed = {
      ...golden("state_run"),
      rows: 0,
      phase: "failed",
      error: {
        code: "oom",
        message: "Out of memory.",
        expected: "",
        found: "",
        remedy: "Fewer steps.",
        traceback: "File x",
      },
    };
    model.set("run_state", failed);
    model.set("run_state", { ...failed, step: 35 });
    expect(page.errors.map((e) => e.message)).toEqual(["Out of memory."]);
  });

  test("without a kernel draws and sends nothing", async () => {
    channel = new FakeModel({});
    Object.assign(channel, { widget_manager: { get_model: () => Promise.resolve({ comm_live: false }) } });
    page = new Page(new FakeModel(traits({ run_state: golden("state_run") })));
    page.connect({ getModel: () => Promise.resolve(channel) });
    await vi.advanceTimersByTimeAsync(2000);
    expect(channel.sent).toEqual([]);
    expect(page.client.connection).toBe("absent");
    expect(page.alive).toBe(false);
  });

  test("knows when the kernel goes and when it comes back", async () => {
    let live = true;
    model = new FakeModel(traits());
    channel = new FakeModel({});
    Object.assign(channel, { widget_manager: { get_model: () => Promise.resolve({ comm_live: live }) } });
    page = new Page(model);
    page.connect({ getModel: () => Promise.resolve(channel) });
    await vi.advanceTimersByTimeAsync(1);
    await answer(requests("hello")[0], { result: { subshell: "s" } });
    live = false;
    model.trigger("comm_live_update");
    await vi.advanceTimersByTimeAsync(1);
    expect(page.client.connection).toBe("gone");
    live = true;
    model.trigger("comm_live_update");
    await vi.advanceTimersByTimeAsync(1);
    await answer(requests("hello")[1], { result: { subshell: "s" } });
    expect(page.client.connection).toBe("live");
  });
});
