import { describe, expect, test } from "vitest";
import { llava, treeState } from "../dev/fake_tree";
import { search, tops } from "../src/map/search";
import { outline } from "../src/map/outline";
import { DisplayTree } from "../src/tree/display_tree";
import { ModelTree } from "../src/tree/model_tree";
import { readTree } from "../src/wire/tree_state";
import { golden } from "./golden";

const build = (state: unknown): DisplayTree => new DisplayTree(new ModelTree(readTree(state)));
const llavaTree = build(treeState(llava()));

/** Qwen-VL's way: the projector is the vision tower's merger. */
function nested(): DisplayTree {
  return build({
    v: 1,
    title: "nested",
    names: ["", "visual", "blocks", "0", "merger", "language_model", "tail"],
    classes: ["M"],
    tied: [],
    components: [
      { name: "vision_tower", label: "vision tower", nodes: [1], params: 60, blocks: null },
      { name: "projector", label: "projector", nodes: [4], params: 40, blocks: null },
      { name: "language_model", label: "language model", nodes: [5], params: 900, blocks: null },
    ],
    parent: new DataView(Int32Array.from([-1, 0, 1, 2, 1, 0, 0]).buffer),
    name: new DataView(Uint32Array.from([0, 1, 2, 3, 4, 5, 6]).buffer),
    sort: new DataView(Uint32Array.from([0, 0, 1, 2, 3, 4, 5]).buffer),
    sorts: [
      [0, 0, 0, -1, 0, 0],
      [0, 0, 0, 0, 0, 0],
      [0, 60, 120, 0, 0, 0],
      [0, 40, 80, 1, 0, 0],
      [0, 900, 1800, 2, 0, 0],
      [0, 7, 14, -1, 0, 0],
    ],
  });
}

describe("the first level", () => {
  test("is the components, in Python's order, whatever wraps them", () => {
    expect(llavaTree.root.children.map((id) => llavaTree.item(id).label)).toEqual([
      "vision tower",
      "projector",
      "language model",
      "embeddings",
      "head",
    ]);
  });

  test("has a projector that lies inside the vision tower beside it", () => {
    const display = nested();
    expect(display.root.children.map((id) => [display.item(id).label, display.item(id).params])).toEqual([
      ["vision tower", 60],
      ["projector", 40],
      ["language model", 900],
      ["tail", 7],
    ]);
    expect(display.items.filter((item) => item.label === "merger")).toHaveLength(0);
  });

  test("adds up: children never hold more than their parent", () => {
    for (const display of [llavaTree, nested()]) {
      for (const item of display.items) {
        const below = item.children.reduce((sum, id) => sum + display.item(id).params, 0);
        if (item.children.length && item.id) expect(below).toBeLessThanOrEqual(item.params);
      }
      expect(display.root.children.reduce((sum, id) => sum + display.item(id).params, 0)).toBe(
        display.tree.state.params[0],
      );
    }
  });

  test("says in a request a component's name, and below it a path", () => {
    const llm = llavaTree.component("language_model");
    expect(llm?.target).toBe("language_model");
    expect(llavaTree.item(llm?.children[0] ?? 0).target).toBe("model.language_model.layers");
  });
});

test("chains of single children are one item", () => {
  const labels = llavaTree.items.map((item) => item.label);
  expect(labels).toContain("encoder.layers");
  expect(labels).not.toContain("encoder");
  expect(labels).not.toContain("vision_model");
  const encoder = llavaTree.tree.find("model.vision_tower.vision_model.encoder");
  expect(llavaTree.item(llavaTree.itemOfNode.get(encoder) ?? 0).label).toBe("encoder.layers");
});

test("a shared tensor is shown and says with whom", () => {
  const state = golden("state_tree");
  const display = build({
    ...state,
    tied: [[10, 9]],
    params: new DataView(Float64Array.from([358, 358, 208, 200, 100, 100, 40, 40, 110, 50, 0]).buffer),
  });
  expect(display.component("head")).toBeDefined();
  expect(display.tree.sharedWith.get(10)).toBe(9);
});

describe("search", () => {
  test("words must all be there, and a number ends where it ends", () => {
    const found = search(llavaTree, "layers.3 q_proj");
    expect(tops(llavaTree, found ?? new Set()).map((id) => llavaTree.pathOf(id))).toEqual([
      "model.vision_tower.vision_model.encoder.layers.3.self_attn.q_proj",
      "model.language_model.layers.3.self_attn.q_proj",
    ]);
  });

  test("takes a bare number for that number", () => {
    expect(
      tops(llavaTree, search(llavaTree, "language 7 q_proj") ?? new Set()).map((id) => llavaTree.pathOf(id)),
    ).toEqual(["model.language_model.layers.7.self_attn.q_proj"]);
  });

  test("finds classes, components and nothing", () => {
    expect(tops(llavaTree, search(llavaTree, "LlamaMLP") ?? new Set())).toHaveLength(32);
    expect(tops(llavaTree, search(llavaTree, "projector") ?? new Set())).toHaveLength(1);
    expect(search(llavaTree, "nothing_like_it")?.size).toBe(0);
    expect(search(llavaTree, "  ")).toBeNull();
  });
});

describe("the list", () => {
  test("shows components first, opens what is open, and what a search finds with what is above it", () => {
    expect(outline(llavaTree, new Set(), null)).toHaveLength(5);
    const llm = llavaTree.component("language_model")?.id ?? 0;
    expect(outline(llavaTree, new Set([llm]), null)).toHaveLength(7);
    const rows = outline(llavaTree, new Set(), search(llavaTree, "layers.7 gate_proj"));
    expect(rows.map((row) => llavaTree.item(row.id).label)).toEqual([
      "language model",
      "layers",
      "7",
      "mlp",
      "gate_proj",
    ]);
    expect(rows.map((row) => row.level)).toEqual([1, 2, 3, 4, 5]);
  });
});
