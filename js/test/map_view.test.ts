import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import freezemap from "../src/freezemap";
import { golden } from "./golden";
import { mount, press, settle, stubBrowser, type Mounted } from "./mounted";

let page: Mounted;
beforeEach(async () => {
  stubBrowser();
  page = await mount(freezemap);
});
afterEach(() => {
  page.end.abort();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const targets = (): unknown[] =>
  page
    .requests("set_tuning")
    .map(
      (request) =>
        (request.args as { targets: string[]; tuning: string }).targets.join() +
        ":" +
        (request.args as { tuning: string }).tuning,
    );

describe("the map", () => {
  test("sets the tuning of the component under the keyboard by one key", async () => {
    const map = page.find(".vf-map");
    map.focus();
    press(map, "Home");
    press(map, "l");
    await settle();
    expect(targets()).toEqual(["vision_tower:lora"]);
    page.answer(page.requests("set_tuning")[0] ?? {}, { rev: 5 });
    await settle();
    press(map, "x");
    await settle();
    expect(targets()).toEqual(["vision_tower:lora", "vision_tower:inherit"]);
  });

  test("goes in with Enter and back with Escape, and the breadcrumbs say where", () => {
    const map = page.find(".vf-map");
    map.focus();
    press(map, "Home");
    press(map, "Enter");
    expect(page.find("[aria-current]").textContent).toBe("vision tower");
    press(map, "Escape");
    expect(page.find("[aria-current]").textContent).toBe("all components");
  });

  test("says what is focused to a screen reader", () => {
    vi.spyOn(document, "hasFocus").mockReturnValue(true);
    const map = page.find(".vf-map");
    map.focus();
    press(map, "Home");
    expect(page.find(".vf-sr[aria-live]").textContent).toContain(
      "vision tower, Tower, 208 in total, 8 of its own, frozen",
    );
  });

  test("opens folded blocks with Enter and folds them with minus", () => {
    vi.spyOn(document, "hasFocus").mockReturnValue(true);
    const map = page.find(".vf-map");
    map.focus();
    for (const key of ["Home", "PageDown"]) press(map, key);
    const said = (): string | null => page.find(".vf-sr[aria-live]").textContent;
    expect(said()).toContain("layers 0–1 ×2, 2 blocks alike, Linear, 200 parameters, 100 each, frozen");
    press(map, "Enter");
    expect(said()).toBe("2 blocks, one by one");
    press(map, "PageDown");
    expect(said()).toMatch(/^0, Linear, 100 parameters, frozen/);
    press(map, "-");
    expect(said()).toContain("layers 0–1 ×2");
  });

  test("leaves Ctrl+F to the browser and takes Ctrl+Z for undo", async () => {
    const map = page.find(".vf-map");
    map.focus();
    press(map, "f", { ctrlKey: true });
    press(map, "z", { ctrlKey: true });
    await settle();
    expect(targets()).toEqual([]);
    expect(page.requests("undo")).toHaveLength(1);
  });

  test("counts what a search finds and selects it all with Enter", async () => {
    const input = page.find<HTMLInputElement>("input[type=search]");
    input.value = "layers";
    input.dispatchEvent(new Event("input"));
    expect(page.find(".vf-found").textContent).toBe("1");
    press(input, "Enter");
    page.find(".vf-selection [role=radio][data-tuning='2']").click();
    await settle();
    expect(targets()).toEqual(["model.vision_tower.layers:full"]);
  });
});

describe("the list", () => {
  const rows = (): HTMLElement[] => [...page.el.querySelectorAll<HTMLElement>(".vf-grid-body [role=row]")];

  beforeEach(async () => {
    page.find("[aria-label=List]").click();
    await settle();
  });

  test("is a treegrid with levels, places, columns and one active row", () => {
    const grid = page.find("[role=treegrid]");
    expect([...grid.querySelectorAll("[role=columnheader]")].map((c) => c.textContent)).toEqual([
      "name",
      "class",
      "parameters",
      "tuning",
      "grad norm",
    ]);
    expect(grid.getAttribute("aria-rowcount")).toBe("6");
    const [first] = rows();
    expect(
      ["aria-level", "aria-posinset", "aria-setsize", "aria-expanded", "aria-rowindex"].map((name) =>
        first?.getAttribute(name),
      ),
    ).toEqual(["1", "1", "5", "false", "2"]);
    expect(rows()[4]?.hasAttribute("aria-expanded")).toBe(false);
    grid.focus();
    press(grid, "Home");
  });

  test("opens, walks and sets with the keys of the pattern", async () => {
    const grid = page.find("[role=treegrid]");
    grid.focus();
    press(grid, "Home");
    press(grid, "ArrowRight");
    press(grid, "ArrowRight");
    await settle();
    expect(rows().map((row) => row.getAttribute("aria-level"))).toEqual(["1", "2", "1", "1", "1", "1"]);
    const active = page.el.ownerDocument.getElementById(grid.getAttribute("aria-activedescendant") ?? "");
    expect(active?.textContent).toContain("layers");
    expect(active?.getAttribute("aria-selected")).toBe("true");
    press(grid, "t");
    await settle();
    expect(targets()).toEqual(["model.vision_tower.layers:full"]);
    press(grid, "ArrowLeft");
    press(grid, "ArrowLeft");
    await settle();
    expect(rows()).toHaveLength(5);
  });

  test("tells a screen reader of folded blocks, opens them with the right arrow and folds them with the left", async () => {
    const grid = page.find("[role=treegrid]");
    grid.focus();
    for (const key of ["Home", "ArrowRight", "ArrowDown"]) press(grid, key);
    await settle();
    const name = (): string | null | undefined =>
      rows()[1]?.querySelector("[role=rowheader]")?.getAttribute("aria-label");
    expect(name()).toBe("layers 0–1 ×2, 2 blocks alike");
    press(grid, "ArrowRight");
    await settle();
    expect(
      rows()
        .slice(1, 4)
        .map((row) => [row.getAttribute("aria-level"), row.querySelector("[role=rowheader]")?.textContent]),
    ).toEqual([
      ["2", "layers"],
      ["3", "0"],
      ["3", "1"],
    ]);
    expect(rows()[1]?.getAttribute("aria-expanded")).toBe("true");
    press(grid, "ArrowDown");
    press(grid, "ArrowDown", { shiftKey: true });
    press(grid, "t");
    await settle();
    expect(targets()).toEqual(["model.vision_tower.layers[0:2]:full"]);
    for (const key of ["ArrowLeft", "ArrowLeft"]) press(grid, key);
    await settle();
    expect(name()).toBe("layers 0–1 ×2, 2 blocks alike");
  });

  test("shows every layer when the button says so, and the next view of the widget does too", async () => {
    const button = (el: HTMLElement): HTMLElement =>
      el.querySelector("[aria-label='Fold repeated layers']") as HTMLElement;
    expect(button(page.el).getAttribute("aria-pressed")).toBe("true");
    button(page.el).click();
    expect(button(page.el).getAttribute("aria-pressed")).toBe("false");
    const second = document.createElement("div");
    document.body.append(second);
    freezemap.render?.({
      model: page.model,
      el: second,
      signal: page.end.signal,
      host: { getModel: () => Promise.resolve(page.channel) },
    });
    await settle();
    expect(button(second).getAttribute("aria-pressed")).toBe("false");
  });

  test("makes elements only of the rows in sight", async () => {
    const many = 3000;
    const parent = Int32Array.from({ length: many + 1 }, (_, i) => (i - 1 < 0 ? -1 : 0));
    const view = (array: ArrayBufferView): DataView => new DataView(array.buffer);
    page.model.set("tree_state", {
      v: 1,
      title: "wide",
      names: ["", ...Array.from({ length: many }, (_, i) => `m${i}`)],
      classes: ["M"],
      components: [],
      tied: [],
      parent: view(parent),
      name: view(Uint32Array.from({ length: many + 1 }, (_, i) => i)),
      sort: view(new Uint32Array(many + 1)),
      sorts: [[0, 1, 1, -1, 0, 0]],
    });
    page.find("[aria-label=List]").click();
    await settle();
    expect(page.find("[role=treegrid]").getAttribute("aria-rowcount")).toBe("3001");
    expect(rows().length).toBeLessThan(60);
  });
});

describe("names from a stranger's notebook", () => {
  const evil = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`;

  test("stay text everywhere", async () => {
    page.end.abort();
    const tree = golden("state_tree") as { names: string[]; components: object[] };
    const plan = golden("state_plan") as { components: object[]; warnings: object[] };
    page = await mount(freezemap, {
      tree_state: {
        ...tree,
        title: evil,
        dtype: evil,
        facts: [evil],
        notes: [[2, evil]],
        names: tree.names.map((name) => name && evil),
        classes: Array(6).fill(evil),
        components: tree.components.map((c) => ({ ...c, label: evil })),
      },
      plan_state: {
        ...plan,
        sentence: evil,
        warnings: plan.warnings.map((w) => ({ ...w, message: evil, remedy: evil, paths: [evil] })),
      },
      handover_state: {
        trainers: [{ key: evil, name: evil }],
        folder: evil,
        presets: [
          {
            title: evil,
            source: evil,
            url: evil,
            items: [{ name: evil, label: evil, what: evil, how: evil, data: evil, source: evil, notes: [evil] }],
          },
        ],
      },
    });
    page.find("[aria-label=List]").click();
    await settle();
    expect(page.el.querySelectorAll("img, script")).toHaveLength(0);
    expect(page.find(".vf-title").textContent).toBe(evil);
    expect(page.el.textContent).toContain("<script>");
    expect("hit" in window).toBe(false);
  });
});

test("a view that ends leaves nothing behind and another one goes on", async () => {
  const second = document.createElement("div");
  document.body.append(second);
  const end = new AbortController();
  freezemap.render?.({
    model: page.model,
    el: second,
    signal: end.signal,
    host: { getModel: () => Promise.resolve(page.channel) },
  });
  await settle();
  end.abort();
  expect(second.children).toHaveLength(0);
  page.model.set("plan_state", { ...golden("state_plan"), rev: 9, sentence: "still here" });
  expect(page.find(".vf-sentence").textContent).toBe("still here");
});
