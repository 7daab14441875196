import { describe, expect, test } from "vitest";
import { llava, treeState } from "../dev/fake_tree";
import { hit, neighbour } from "../src/map/geometry";
import { FLOOR_PX, layout, type Box, type Layout } from "../src/map/layout";
import { AREAS } from "../src/map/map_state";
import { DisplayTree } from "../src/tree/display_tree";
import { ModelTree } from "../src/tree/model_tree";
import { readTree } from "../src/wire/tree_state";

const display = new DisplayTree(new ModelTree(readTree(treeState(llava()))));
const SIZES = [
  [1000, 600],
  [600, 400],
] as const;

const first = (made: Layout): Box[] => made.boxes.filter((box) => box.level === 1);
const least = (box: Box): number => Math.min(box.x1 - box.x0, box.y1 - box.y0);
const area = (box: Box): number => (box.x1 - box.x0) * (box.y1 - box.y0);

describe.each(SIZES)("at %i x %i", (width, height) => {
  test.each(AREAS)("every component can be seen and hit with areas by %s", (scale) => {
    const made = layout(display, 0, width, height, scale);
    expect(first(made)).toHaveLength(5);
    for (const box of first(made)) {
      expect(least(box)).toBeGreaterThanOrEqual(FLOOR_PX - 0.01);
      const found = hit(display, 0, made, (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2);
      expect(display.trail(found?.id ?? 0)[0]?.id).toBe(box.id);
    }
  });

  test("without the floor, linear areas lose a component", () => {
    const bare = layout(display, 0, width, height, "linear", 0);
    expect(Math.min(...first(bare).map(least))).toBeLessThan(18);
  });

  test.each(AREAS)("tiles of %s areas lie inside their parents and do not overlap", (scale) => {
    const made = layout(display, 0, width, height, scale);
    for (const box of made.boxes) {
      const parent = made.of.get(display.item(box.id).parent) ?? { x0: 0, y0: 0, x1: width, y1: height };
      expect(box.x0).toBeGreaterThanOrEqual(parent.x0 - 0.01);
      expect(box.y1).toBeLessThanOrEqual(parent.y1 + 0.01);
    }
    const leaves = made.boxes.filter((box) => box.leaf);
    for (let i = 0; i < leaves.length; i++) {
      for (let j = i + 1; j < leaves.length; j++) {
        const [a, b] = [leaves[i] as Box, leaves[j] as Box];
        const shared =
          Math.min(a.x1, b.x1) - Math.max(a.x0, b.x0) > 0.01 && Math.min(a.y1, b.y1) - Math.max(a.y0, b.y0) > 0.01;
        if (shared) throw new Error(`${display.pathOf(a.id)} lies over ${display.pathOf(b.id)}`);
      }
    }
  });
});

test("brothers of equal size get equal areas, and the first level fills the map", () => {
  const made = layout(display, 0, 1000, 600, "sqrt");
  const layers = display.items
    .filter((item) => /language_model\.layers\.\d+$/.test(display.pathOf(item.id)))
    .map((item) => made.of.get(item.id));
  const areas = layers.map((box) =>
    box ? area({ ...box, x0: box.x0 - 1, y0: box.y0 - 1, x1: box.x1 + 1, y1: box.y1 + 1 }) : 0,
  );
  expect(layers).toHaveLength(32);
  expect(Math.max(...areas) / Math.min(...areas)).toBeLessThan(1.01);
  const outer = first(made).reduce((sum, box) => sum + (box.x1 - box.x0 + 4) * (box.y1 - box.y0 + 4), 0);
  expect(outer).toBeCloseTo(1004 * 604, -1);
});

test("more parameters never get less room among brothers", () => {
  for (const scale of AREAS) {
    const boxes = first(layout(display, 0, 1000, 600, scale, 0)).sort(
      (a, b) => display.item(b.id).params - display.item(a.id).params,
    );
    for (let i = 1; i < boxes.length; i++)
      expect(area(boxes[i - 1] as Box)).toBeGreaterThanOrEqual(area(boxes[i] as Box) * 0.9);
  }
});

test("arrows reach every component from any of them", () => {
  for (const [width, height] of SIZES) {
    const made = layout(display, 0, width, height, "sqrt");
    const reached = new Set<number>();
    const visit = (box: Box): void => {
      if (reached.has(box.id)) return;
      reached.add(box.id);
      for (const direction of ["left", "right", "up", "down"] as const) {
        const next = neighbour(made, box, direction);
        if (next?.level === 1) visit(next);
      }
    };
    visit(first(made)[0] as Box);
    expect(reached.size).toBe(5);
  }
});

test("of 30,000 modules only those are laid out that can be seen", () => {
  const big = new DisplayTree(new ModelTree(readTree(treeState(llava(2400)))));
  expect(big.items.length).toBeGreaterThan(29_000);
  const made = layout(big, 0, 1200, 600, "sqrt");
  expect(made.boxes.length).toBeGreaterThan(100);
  expect(made.boxes.length).toBeLessThan(big.items.length);
});
