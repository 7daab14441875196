import { afterEach, beforeEach, expect, test, vi } from "vitest";
import freezemap from "../src/freezemap";
import { DisplayTree } from "../src/tree/display_tree";
import { ModelTree } from "../src/tree/model_tree";
import { readTree } from "../src/wire/tree_state";
import { golden } from "./golden";
import { mount, press, settle, stubBrowser, type Mounted } from "./mounted";

const IMAGE = `<img src=x onerror="window.hit=1">`;
const NAMES = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "valueOf",
  IMAGE,
  `"><script>window.hit=1</script>`,
  "javascript&colon;alert(1)",
  "${window.hit=1}",
  "x".repeat(500),
  "\u202egnp",
  "שלום",
  "👩‍👩‍👧‍👦",
  "0",
  " ",
  "lora_A",
  "default",
  "&lt;b&gt;",
];

/** The golden tree with another set of names, in turn. */
function renamed(shift: number): Record<string, unknown> {
  const tree = golden("state_tree") as { names: string[]; classes: string[] };
  const at = (i: number): string => NAMES[(i + shift) % NAMES.length] as string;
  return {
    ...tree,
    title: at(0),
    names: tree.names.map((name, i) => name && at(i)),
    classes: tree.classes.map((_, i) => at(i + 3)),
  };
}

const drawn: string[] = [];
let page: Mounted;

beforeEach(() => {
  drawn.length = 0;
  stubBrowser(700, 430, drawn); // tiles are painted: what they say is what the canvas was handed
});

afterEach(() => {
  page.end.abort();
  vi.restoreAllMocks();
  document.body.replaceChildren();
});

const NEVER_OURS =
  "img, script, iframe, object, embed, link, style, a, form, base, meta, math, video, audio, foreignObject, template";

function nothingWasMade(): void {
  const made = [...page.el.querySelectorAll("*")];
  expect([...page.el.querySelectorAll(NEVER_OURS)].map((e) => e.tagName)).toEqual([]);
  expect(
    made
      .flatMap((e) => [...e.attributes])
      .filter((a) => a.name.startsWith("on") || /^(src|href|srcdoc|action)$/.test(a.name)),
  ).toEqual([]);
  expect("hit" in window).toBe(false);
  expect(Object.keys(Object.prototype)).toEqual([]);
}

test.each(NAMES.map((_, shift) => shift))(
  "names are text on the map, in its tooltip, in the list and in the trail (%i)",
  async (shift) => {
    page = await mount(freezemap, { tree_state: renamed(shift) });
    const tree = new ModelTree(readTree(renamed(shift)));
    const map = page.find(".vf-map");
    for (let y = 5; y < 430; y += 25) {
      for (let x = 5; x < 700; x += 35)
        map.dispatchEvent(new MouseEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
      nothingWasMade();
    }
    const tip = page.find(".vf-tip");
    map.dispatchEvent(new MouseEvent("pointermove", { clientX: 350, clientY: 200, bubbles: true }));
    expect(tip.children.length).toBeGreaterThan(1);
    for (const key of ["ArrowRight", "Enter", "ArrowRight", "l", "t", "f", "-", "Escape", "Escape"]) press(map, key);
    await settle();
    page.find("[aria-label=List]").click();
    await settle();
    const grid = page.find("[role=treegrid]");
    for (const key of ["Home", "ArrowRight", "ArrowDown", "ArrowRight", "ArrowDown", "*"]) press(grid, key);
    const search = page.find<HTMLInputElement>("input[type=search]");
    search.value = NAMES[shift] as string;
    search.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    nothingWasMade();
    expect(page.find(".vf-title").textContent).toBe(NAMES[shift % NAMES.length]);
    // Every path is the names joined by dots, and finds its node again.
    for (let node = 1; node < tree.size; node++) expect(tree.path(tree.find(tree.path(node)))).toBe(tree.path(node));
  },
);

test("the map paints names as they are, and a request carries them as they are", async () => {
  page = await mount(freezemap, { tree_state: renamed(6) });
  expect(drawn.some((text) => text.startsWith("<img") || text.startsWith("vision"))).toBe(true);
  const display = new DisplayTree(new ModelTree(readTree(renamed(0))));
  const targets = display.items.filter((item) => !item.isComponent && item.id > 0).map((item) => item.target);
  expect(
    targets.some((target) => target.split(".").includes("__proto__") || target.split(".").includes("constructor")),
  ).toBe(true);
});

test("a name that is a property of every object is no node and no component", async () => {
  page = await mount(freezemap);
  const tree = new ModelTree(readTree(golden("state_tree")));
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    expect(tree.find(name)).toBe(-1);
    expect(new DisplayTree(tree).component(name)).toBeUndefined();
  }
});

test("an element made of a name is found out", async () => {
  page = await mount(freezemap);
  nothingWasMade();
  page.el.append(document.createRange().createContextualFragment(IMAGE));
  expect(nothingWasMade).toThrow();
});
