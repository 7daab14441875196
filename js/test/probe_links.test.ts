import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LinkCounts } from "../src/map/link_counts";
import { DisplayTree } from "../src/tree/display_tree";
import { FoldedTree } from "../src/tree/folded_tree";
import { ModelTree } from "../src/tree/model_tree";
import { readTree } from "../src/wire/tree_state";
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

const VISION = 2;
const rows = (...modules: number[][]): DataView => new DataView(Int32Array.from(modules.flat()).buffer);

describe("the links of items", () => {
  const display = (): FoldedTree => {
    const folded = new FoldedTree(new DisplayTree(new ModelTree(readTree(golden("state_tree")))));
    folded.arrange({ on: true, opened: new Set(), tuning: null, matches: null });
    return folded;
  };

  test("are summed over what lies below, and over the layers of a fold", () => {
    const shown = display();
    const counts = new LinkCounts(shown.tree, Int32Array.from([4, 3, 3, 3, 3, 3, 3, 0, 5, 3, 3, -1, 1, -1, 0, 2]));
    const vision = shown.component("vision_tower");
    expect(counts.of(shown, vision?.id ?? 0)).toEqual({
      tensors: 6,
      selected: 6,
      in_optimizer: 3,
      gradient: 4,
      moved: 3,
      measured: 3,
      broken: 2,
    });
    const fold = shown.lists.size ? (vision?.children[0] ?? vision?.id ?? 0) : 0;
    expect(counts.of(shown, fold).tensors).toBe(6);
    expect(counts.verdict(shown, vision?.id ?? 0)).toBe(1);
    expect(counts.verdict(shown, shown.component("head")?.id ?? 0)).toBe(3);
  });

  test("of a component that lies in another one's module end at its own top", () => {
    const shown = display();
    const counts = new LinkCounts(shown.tree, Int32Array.from([9, 1, 1, 1, 1, 1, 1, 0, VISION, 1, 1, 1, 0, 0, 1, 1]));
    expect(counts.of(shown, shown.component("embeddings")?.id ?? 0).tensors).toBe(1);
    expect(counts.of(shown, shown.component("language_model")?.id ?? 0).tensors).toBe(0);
    expect(counts.verdict(shown, shown.component("vision_tower")?.id ?? 0)).toBe(2);
  });

  test("of nodes that are not there are left out", () => {
    const shown = display();
    expect(
      new LinkCounts(shown.tree, Int32Array.from([-3, 1, 1, 1, 1, 1, 1, 0, 9999, 1, 1, 1, 1, 1, 1, 0, 7])).of(shown, 0)
        .tensors,
    ).toBe(0);
  });
});

describe("the probe's table", () => {
  let page: Mounted;
  beforeEach(async () => {
    stubBrowser();
    page = await mount(workbench, {
      probe_state: { ...golden("state_probe"), modules: rows([6, 2, 2, 2, 2, 2, 2, 0], [7, 2, 2, 2, 0, 0, 2, 2]) },
    });
  });
  afterEach(() => {
    page.end.abort();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });
  const names = (): string[] => [...page.el.querySelectorAll(".vf-links tbody th")].map((th) => th.textContent ?? "");
  const twisty = (): HTMLButtonElement => page.find<HTMLButtonElement>("[aria-label='Modules of projector']");

  test("opens a component to its modules, each with its four links", () => {
    expect(names()).toEqual(["vision tower", "projector"]);
    expect(twisty().getAttribute("aria-expanded")).toBe("false");
    twisty().click();
    expect(names()).toEqual(["vision tower", "projector", "linear_1"]);
    const cells = [...page.el.querySelectorAll(".vf-links tbody tr:last-child td")].map((td) => td.textContent);
    expect(cells.slice(1, 5)).toEqual(["2 of 2", "2 of 2", "0 of 2", "0 of 2"]);
    expect(twisty().getAttribute("aria-expanded")).toBe("true");
    expect(document.activeElement).toBe(twisty());
  });

  test("leads from a row to the tile and from the tile back to the row", async () => {
    twisty().click();
    [...page.el.querySelectorAll<HTMLButtonElement>(".vf-links .vf-link")]
      .find((b) => b.textContent === "linear_1")
      ?.click();
    expect(page.find(".vf-selection").textContent).toContain("linear_1");
    expect(document.activeElement).toBe(page.find(".vf-map"));
    twisty().click();
    expect(names()).not.toContain("linear_1");
    [...page.el.querySelectorAll<HTMLButtonElement>(".vf-selection button")]
      .find((b) => b.textContent === "probe")
      ?.click();
    await settle();
    expect(names()).toContain("linear_1");
    expect(document.activeElement?.textContent).toBe("linear_1");
    expect(page.find(".vf-links [aria-current=true]").textContent).toContain("linear_1");
  });

  test("paints the map by its verdicts, with a legend in words", async () => {
    [...page.el.querySelectorAll<HTMLButtonElement>(".vf-probe button")]
      .find((b) => b.textContent === "Paint the map")
      ?.click();
    await settle();
    expect(page.find("option[value=verdict]").closest("select")?.value).toBe("verdict");
    await vi.waitFor(() => expect(page.find(".vf-legend").textContent).toContain("every tensor does what was wanted"));
  });
});
