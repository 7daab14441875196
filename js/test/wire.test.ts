import { describe, expect, test } from "vitest";
import { count } from "../src/format";
import { readNumber, writeNumber } from "../src/wire/numbers";
import { readEvent, readReply, request } from "../src/wire/messages";
import { readData } from "../src/wire/data_state";
import { readProbe } from "../src/wire/probe_state";
import { readPlan } from "../src/wire/plan_state";
import { readRun } from "../src/wire/run_state";
import { readTree } from "../src/wire/tree_state";
import { buffer, golden } from "./golden";

describe("golden messages", () => {
  test("every number reads and writes as the wire spells it", () => {
    const pairs = golden("numbers") as unknown as { value: string; wire: never }[];
    for (const { value, wire: spelled } of pairs) {
      const meant = { nan: NaN, inf: Infinity, "-inf": -Infinity }[value] ?? Number(value);
      expect(Object.is(readNumber(spelled), meant)).toBe(true);
      expect(writeNumber(meant)).toEqual(spelled);
    }
  });

  test("each request is sent exactly so", () => {
    for (const name of ["hello", "views", "run", "set_tuning", "snapshot"] as const) {
      const wanted = golden(`request_${name}`);
      expect(request(String(wanted.id), Number(wanted.rev), name, wanted.args as never)).toEqual(wanted);
      expect(JSON.stringify(request(String(wanted.id), Number(wanted.rev), name, wanted.args as never))).toBe(
        JSON.stringify(wanted),
      );
    }
  });

  test("a successful request and a refused one are told apart", () => {
    expect(readReply(golden("reply_ok"))).toEqual({ id: "p7-13", rev: 4, ok: true, result: { burst: 2 } });
    const refused = readReply(golden("reply_error"));
    expect(refused).toMatchObject({
      id: "p7-12",
      rev: 5,
      ok: false,
      error: { code: "stale", expected: "revision 5", found: "revision 4" },
    });
  });

  test("the tree's columns come out of buffers at any offset", () => {
    const tree = readTree(golden("state_tree"));
    expect(tree.names).toHaveLength(11);
    expect(tree.facts).toEqual(["buffers apart: 16 elements, 64 B"]);
    expect([...tree.notes]).toEqual([[3, "cross-attention"]]);
    expect([...tree.parent]).toEqual([-1, 0, 1, 2, 3, 3, 1, 6, 1, 8, 0]);
    expect([...tree.params]).toEqual([408, 358, 208, 200, 100, 100, 40, 40, 110, 50, 50]);
    expect([...tree.component]).toEqual([255, 255, 0, 0, 0, 0, 1, 1, 2, 3, 4]);
    expect([...tree.lora]).toEqual([0, 0, 0, 0, 1, 1, 0, 1, 0, 1, 1]);
    expect([...tree.class_index].map((i) => tree.classes[i])).toContain("ModuleList");
    expect(tree.components[0]).toEqual({
      name: "vision_tower",
      label: "vision tower",
      nodes: [2],
      params: 208,
      blocks: { node: 3, count: 2 },
    });
  });

  test("the plan reads whole", () => {
    const plan = readPlan(golden("state_plan"));
    expect(plan.rev).toBe(4);
    expect([...plan.tuning]).toEqual([3, 3, 0, 0, 0, 0, 2, 2, 1, 0, 0]);
    expect(plan.components.map((c) => c.tuning)).toEqual(["frozen", "full", "lora", "frozen", "frozen"]);
    expect(plan.components[2]).toMatchObject({ lr: 2e-4, rank: 16, alpha: 32, targets: 2 });
    expect(plan.cost?.total_bytes).toBe(1808);
    expect(plan.warnings[0]).toMatchObject({ severity: "warning", count: 2 });
  });

  test("the data reads whole", () => {
    const data = readData(golden("state_data"));
    expect(data.questions[0]).toMatchObject({ prompt: "describe:", target: "a red cross" });
    expect([...(data.questions[0]?.picture.slice(1, 4) ?? [])].map((c) => String.fromCharCode(c)).join("")).toBe("PNG");
    expect(data.preview?.rows[0]?.spans).toEqual([
      ["<s><image>×16 describe:", false],
      ["a red cross</s>", true],
    ]);
    for (const value of [null, 7, { questions: 3, preview: 4 }, { preview: { rows: [7, { spans: [[], 3] }] } }])
      expect(readData(value).questions).toEqual([]);
  });

  test("a probe reads whole, and the garbled one reads as none", () => {
    const probe = readProbe(golden("state_probe"));
    expect(probe).toMatchObject({
      probe: 2,
      rev: 4,
      steps: 3,
      batches: { count: 3, label_tokens: 1768, with_pictures: 0 },
    });
    expect(probe.components[0]).toMatchObject({
      label: "vision tower",
      tensors: 0,
      in_optimizer: null,
      moved: null,
      open_norm: 3,
    });
    expect(probe.components[1]).toMatchObject({
      intent: "full",
      in_optimizer: 4,
      gradient: 2,
      moved: 2,
      measured: 4,
      rates: [1e-3],
    });
    expect(probe.findings[0]).toMatchObject({ code: "no-pictures", severity: "failure", count: 4 });
    expect([...probe.open.slice(0, 6)]).toEqual([5, 5, 3, 3, 2, NaN]);
    for (const value of [null, 7, { components: 3, findings: {}, batches: 5, open: "x" }])
      expect(readProbe(value).probe).toBe(0);
  });

  test("the run reads whole", () => {
    const run = readRun(golden("state_run"));
    expect(run).toMatchObject({
      phase: "running",
      burst: 2,
      step: 34,
      seconds_per_step: 0.41,
      memory_bytes: null,
      can_run: false,
    });
    expect(run.columns.grad_norm).toEqual(["projector", "language_model"]);
    expect(run.verdicts[1]).toMatchObject({ status: "ok", moved: 0.0021 });
  });

  test("the rows of an event are the golden rows, infinities and gaps included", () => {
    const {
      message,
      rows,
      buffer_base64: base64,
    } = golden("event_rows") as { message: { width: number }; rows: unknown[][]; buffer_base64: string };
    const event = readEvent(message, [buffer(base64)]);
    expect(event?.kind).toBe("rows");
    expect([...(event?.values ?? [])]).toEqual(rows.flat().map(readNumber));
  });
});

describe("what nobody vouches for", () => {
  test("a buffer of the wrong size is no event", () => {
    expect(
      readEvent({ v: 1, kind: "rows", burst: 1, first: 0, count: 2, width: 7 }, [new DataView(new ArrayBuffer(8))]),
    ).toBeNull();
    expect(readEvent({ v: 1, kind: "rows", burst: 1, first: 0, count: 1, width: 7 }, undefined)).toBeNull();
  });

  test("another version and other kinds are ignored", () => {
    expect(readEvent({ v: 2, kind: "paint" }, [])).toBeNull();
    expect(readReply({ v: 1, kind: "rows", id: "x" })).toBeNull();
    expect(readReply("nonsense")).toBeNull();
  });

  test("states of any shape read as empty ones and never throw", () => {
    for (const value of [
      null,
      undefined,
      7,
      "x",
      [],
      { components: 3, names: {}, tuning: "x", blocks: null, cost: [], error: 5 },
    ]) {
      expect(() => [readTree(value), readPlan(value), readRun(value)]).not.toThrow();
    }
  });

  test("a parent that points forward cannot make a walk loop", () => {
    const state = golden("state_tree");
    const tree = readTree({
      ...state,
      parent: new DataView(Int32Array.from([5, 5, 2, 3, 9, 9, 9, 9, 9, 9, 99]).buffer),
    });
    for (let i = 1; i < tree.parent.length; i++) expect(tree.parent[i]).toBeLessThan(i);
    expect(tree.parent[0]).toBe(-1);
  });

  test("counts of a plan stay numbers", () => {
    expect(count(readPlan({ counts: { frozen: "many" } }).counts.frozen)).toBe("0");
  });
});
