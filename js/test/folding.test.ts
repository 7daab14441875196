import { describe, expect, test } from "vitest";
import { llava, treeState } from "../dev/fake_tree";
import { targetsOf } from "../src/map/actions";
import { search, tops } from "../src/map/search";
import { outline } from "../src/map/outline";
import { MapState } from "../src/map/map_state";
import { normOf, tuningOf } from "../src/map/tile_style";
import { preview } from "../src/model/preview";
import { DisplayTree, type Item } from "../src/tree/display_tree";
import { indexText, preciseLabel, ranges, shortLabel } from "../src/tree/fold_text";
import { FoldedTree } from "../src/tree/folded_tree";
import { ModelTree } from "../src/tree/model_tree";
import { FROZEN, FULL, LORA, readPlan, type PlanState } from "../src/wire/plan_state";
import { readTree } from "../src/wire/tree_state";
import { golden } from "./golden";

const LAYERS = "model.language_model.layers";

/** What the page shows of a 7B, whose two lists fold. */
function build(change: Record<string, unknown> = {}, layers = 32): MapState {
  return new MapState(
    new FoldedTree(new DisplayTree(new ModelTree(readTree({ ...treeState(llava(layers)), ...change })))),
  );
}

function plan(state: MapState): PlanState {
  return { ...readPlan(golden("state_plan")), tuning: new Uint8Array(state.display.tree.size) };
}

const all = (state: MapState): Item[] => {
  const found: Item[] = [];
  const visit = (id: number): void => (
    found.push(state.display.item(id)), state.display.item(id).children.forEach(visit)
  );
  visit(0);
  return found;
};
const item = (state: MapState, label: string): Item => {
  const found = all(state).find((i) => i.label === label);
  if (!found)
    throw new Error(
      `nothing is called ${label}: ${all(state)
        .map((i) => i.label)
        .join(" | ")}`,
    );
  return found;
};
const inside = (state: MapState, label: string): string[] =>
  item(state, label).children.map((id) => state.display.item(id).label);

test("labels and slices are the golden ones", () => {
  for (const c of golden("folds").cases as {
    indices: number[];
    count: number;
    label: string;
    precise: string;
    slice: string;
    ranges: number[][];
  }[]) {
    expect([shortLabel(c.indices), preciseLabel(c.indices), indexText(c.indices, c.count), ranges(c.indices)]).toEqual([
      c.label,
      c.precise,
      c.slice,
      c.ranges,
    ]);
  }
});

describe("a list of equal blocks", () => {
  test("is one item that adds them up, part by part", () => {
    const state = build();
    const layers = item(state, "layers 0–31 ×32");
    expect(layers.fold).toMatchObject({ times: 32, precise: "0–31" });
    expect(inside(state, "layers 0–31 ×32")).toEqual([
      "self_attn",
      "mlp",
      "input_layernorm",
      "post_attention_layernorm",
    ]);
    expect(item(state, "gate_proj").params).toBe(32 * 4096 * 11008);
    expect(inside(state, "vision tower")).toContain("encoder.layers 0–23 ×24");
  });

  test("loses nothing: the leaves hold what the leaves of the open tree hold", () => {
    const state = build();
    const sum = (): number => state.display.leaves.reduce((total, id) => total + state.display.item(id).params, 0);
    const folded = sum();
    expect(state.display.leaves.length).toBeLessThan(40);
    state.fold(false);
    expect(state.display.leaves.length).toBeGreaterThan(400);
    expect(sum()).toBe(folded);
  });

  test("is set by its path, and a part of it by one slice", () => {
    const state = build();
    expect(targetsOf(state, [item(state, "layers 0–31 ×32").id])).toEqual([LAYERS]);
    expect(targetsOf(state, [item(state, "gate_proj").id])).toEqual([`${LAYERS}[0:32].mlp.gate_proj`]);
  });

  test("shows its blocks when it is opened, and folds again", () => {
    const state = build();
    expect(state.unfold(item(state, "layers 0–31 ×32").id)).toBe(true);
    expect(inside(state, "layers")).toHaveLength(32);
    expect(inside(state, "vision tower")).toContain("encoder.layers 0–23 ×24");
    const seventh = state.display.item(item(state, "layers").children[7] as number);
    expect(targetsOf(state, [seventh.id])).toEqual([`${LAYERS}.7`]);
    expect(targetsOf(state, item(state, "layers").children.slice(30))).toEqual([`${LAYERS}[30:32]`]);
    expect(state.refold(seventh.id)).toBe(true);
    expect(state.focus).toBe(item(state, "layers 0–31 ×32").id);
    expect(state.refold(seventh.id)).toBe(false);
  });

  test("is shown in full where Python has told nothing of folds", () => {
    const state = build({ folds: undefined });
    expect(inside(state, "layers")).toHaveLength(32);
    expect(state.display.lists.size).toBe(0);
  });
});

describe("blocks that train differently", () => {
  test("part at the boundary, and come together again", () => {
    const state = build();
    const { tree } = state.display;
    let now = plan(state);
    tree.named.set(`${LAYERS}[30:32]`, [tree.find(`${LAYERS}.30`), tree.find(`${LAYERS}.31`)]);
    now = preview(tree, now, "set_tuning", { targets: [`${LAYERS}[30:32]`], tuning: "full" });
    state.retune(now.tuning);
    expect(inside(state, "layers")).toEqual(["0–29 ×30", "30–31 ×2"]);
    expect(inside(state, "layers").map((label) => tuningOf(state.display, now, item(state, label).id))).toEqual([
      FROZEN,
      FULL,
    ]);
    const first = item(state, "0–29 ×30");
    expect(targetsOf(state, [first.id])).toEqual([`${LAYERS}[0:30]`]);
    state.select([first.id]);
    now = preview(tree, now, "set_tuning", { targets: [`${LAYERS}[0:30]`], tuning: "full" });
    state.retune(now.tuning);
    expect(inside(state, "layers 0–31 ×32")).toHaveLength(4);
    // The selection is of these thirty still, and one request says so.
    expect(targetsOf(state, [...state.selected])).toEqual([`${LAYERS}[0:30]`]);
    expect(state.display.shownOf(first.id)).toBe(item(state, "layers 0–31 ×32").id);
  });

  test("an edit of a part of all blocks is seen at once, and leaves the fold whole", () => {
    const state = build();
    const [target = ""] = targetsOf(state, [item(state, "gate_proj").id]);
    const now = preview(state.display.tree, plan(state), "set_tuning", { targets: [target], tuning: "lora" });
    state.retune(now.tuning);
    expect(tuningOf(state.display, now, item(state, "gate_proj").id)).toBe(LORA);
    expect([...now.tuning].filter((code) => code === LORA).length).toBeGreaterThanOrEqual(32);
    expect(item(state, "layers 0–31 ×32").fold?.times).toBe(32);
  });

  test("with every second block apart there are two groups, not thirty-two", () => {
    const state = build();
    const { tree } = state.display;
    const tuning = new Uint8Array(tree.size);
    for (let i = 0; i < 32; i += 2)
      tuning.fill(FULL, tree.find(`${LAYERS}.${i}`), tree.end[tree.find(`${LAYERS}.${i}`)]);
    state.retune(tuning);
    expect(inside(state, "layers")).toEqual(["every 2nd from 0 ×16", "every 2nd from 1 ×16"]);
    expect(targetsOf(state, [item(state, "every 2nd from 1 ×16").id])).toEqual([`${LAYERS}[1::2]`]);
  });
});

describe("blocks of several kinds", () => {
  test("are groups with their indices", () => {
    const names = (treeState(llava()) as { names: string[] }).names;
    const holder = names.lastIndexOf("layers");
    const state = build({
      folds: [
        [holder, 3, 32, 5],
        [holder, 0, 3, 1, 4, 8, 1, 9, 13, 1, 14, 18, 1],
      ],
    });
    expect(inside(state, "layers").slice(0, 2)).toEqual(["0–2, 4–7, … 14–17 ×15", "every 5th from 3 ×6"]);
    expect(inside(state, "layers").slice(2, 4)).toEqual(["19", "20"]);
    expect(targetsOf(state, [item(state, "every 5th from 3 ×6").id])).toEqual([`${LAYERS}[3::5]`]);
    expect(targetsOf(state, [item(state, "0–2, 4–7, … 14–17 ×15").id])).toEqual([`${LAYERS}[0:3+4:8+9:13+14:18]`]);
  });
});

describe("a search", () => {
  test("finds a part in all blocks without opening the fold", () => {
    const state = build();
    const found = search(state.display.base, "language gate_proj");
    state.find("language gate_proj", found);
    expect(tops(state.display.base, found ?? new Set())).toHaveLength(32);
    expect(state.display.gather(tops(state.display.base, found ?? new Set()))).toEqual([item(state, "gate_proj").id]);
    expect(state.lit?.has(item(state, "gate_proj").id)).toBe(true);
    expect(state.lit?.has(item(state, "down_proj").id)).toBe(false);
  });

  test("sets the one block apart that it finds, and lets it back", () => {
    const state = build();
    state.find("layers.3", search(state.display.base, "language layers.3"));
    expect(inside(state, "layers")).toEqual(["0–2, 4–31 ×31", "3"]);
    expect(outline(state.display, new Set(), state.lit).map((row) => state.display.item(row.id).label)).toEqual([
      "language model",
      "layers",
      "3",
    ]);
    state.find("", null);
    expect(item(state, "layers 0–31 ×32").fold?.times).toBe(32);
  });
});

test("the gradient norm of a fold is the root of the sum of squares", () => {
  const state = build();
  const { tree } = state.display;
  const norms = new Float32Array(tree.size).fill(NaN);
  for (let i = 0; i < 32; i++) norms[tree.find(`${LAYERS}.${i}.mlp.gate_proj`)] = i < 30 ? 3 : NaN;
  expect(normOf(state.display, norms, item(state, "gate_proj").id)).toBeCloseTo(3 * Math.sqrt(30));
  expect(normOf(state.display, norms, item(state, "down_proj").id)).toBeNaN();
});

test("an item inside folded blocks that is zoomed into stays so while blocks part", () => {
  const state = build();
  const mlp = all(state)
    .filter((i) => i.label === "mlp")
    .pop() as Item;
  state.zoomTo(mlp.id);
  const { tree } = state.display;
  const tuning = new Uint8Array(tree.size);
  tuning.fill(FULL, tree.find(`${LAYERS}.31`), tree.end[tree.find(`${LAYERS}.31`)]);
  state.retune(tuning);
  expect(state.display.item(state.zoom).label).toBe("mlp");
  expect(state.display.trail(state.zoom).map((i) => i.label)).toEqual(["language model", "layers", "0–30 ×31", "mlp"]);
});

describe("many modules shown one by one", () => {
  const found = (state: MapState, word: string): number[] =>
    tops(state.display.base, search(state.display.base, word) ?? new Set());

  test("are told as one slice, and foreseen in all of them", () => {
    const state = build();
    state.fold(false);
    const gates = found(state, "gate_proj");
    expect(gates).toHaveLength(32);
    expect(targetsOf(state, gates)).toEqual([`${LAYERS}[0:32].mlp.gate_proj`]);
    const after = preview(state.display.tree, plan(state), "set_tuning", {
      targets: targetsOf(state, gates),
      tuning: "full",
    });
    expect(gates.map((id) => after.tuning[state.display.item(id).node])).toEqual(Array(32).fill(FULL));
    expect([...after.tuning].filter((code) => code === FULL)).toHaveLength(32);
  });

  test("without some of the blocks are a slice without them", () => {
    const state = build();
    state.fold(false);
    const gates = found(state, "gate_proj").filter((_, i) => i % 2 === 0);
    expect(targetsOf(state, gates)).toEqual([`${LAYERS}[0::2].mlp.gate_proj`]);
  });

  test("of several kinds stay several targets, and a few are named one by one", () => {
    const state = build();
    state.fold(false);
    expect(targetsOf(state, [...found(state, "gate_proj"), ...found(state, "q_proj")])).toHaveLength(3);
    expect(targetsOf(state, found(state, "gate_proj").slice(0, 3))).toEqual(
      [0, 1, 2].map((i) => `${LAYERS}.${i}.mlp.gate_proj`),
    );
  });
});

describe("states that nobody vouches for", () => {
  test("folds of blocks that are not alike are not folded", () => {
    const { names } = treeState(llava()) as { names: string[] };
    const holder = names.indexOf("layers");
    for (const folds of [
      [[holder, 0, 9e9, 1]],
      [[holder, 0, 3]],
      [[-1, 0, 3, 1]],
      [[1, 0, 3, 1]],
      [[holder, 3, 0, -1]],
      [[holder, 0.5, 3, 1]],
      [[holder, 0, 3, 0]],
      "x",
      [[holder], {}, null, [{}, 1, 2, 3]],
    ]) {
      const state = build({ folds });
      expect(state.display.leaves.reduce((sum, id) => sum + state.display.item(id).params, 0)).toBeGreaterThan(7e9);
    }
    const mixed = build({
      folds: [
        [0, 0, 2, 1],
        [1, 0, 3, 1],
      ],
    });
    expect(mixed.display.lists.size).toBe(0);
  });

  test("blocks with hostile names are named one by one", () => {
    const state = treeState(llava(2)) as { names: string[] };
    const names = state.names.map((name) => (name === "layers" ? "__proto__[0]" : name));
    const holder = state.names.lastIndexOf("layers");
    const map = build({ names, folds: [[holder, 0, 2, 1]] }, 2);
    expect(targetsOf(map, [item(map, "gate_proj").id])).toEqual(
      [0, 1].map((i) => `model.language_model.__proto__[0].${i}.mlp.gate_proj`),
    );
  });
});
