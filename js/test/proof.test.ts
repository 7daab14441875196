import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readProof } from "../src/wire/proof_state";
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

let page: Mounted;
beforeEach(async () => {
  stubBrowser();
  page = await mount(workbench, {
    run_state: { ...golden("state_run"), phase: "deciding", rows: 0 },
    proof_state: golden("state_proof"),
  });
});
afterEach(() => {
  page.end.abort();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const lines = (): string[] => [...page.el.querySelectorAll(".vf-proof > p")].map((p) => p.textContent ?? "");

describe("the proof of a burst", () => {
  test("counts the frozen tensors that changed, names the first, and says how they were compared", () => {
    expect(lines()[0]).toContain("1 of 3 frozen tensors changed");
    expect(lines()[0]).toContain("model.vision_tower.0.weight");
    expect(lines()[0]).toContain("SHA-256 of 1.5 kB before and after");
    expect(page.find(".vf-proof > p").dataset.status).toBe("failure");
  });

  test("says after a discard that every tensor is as before, and before it nothing of the kind", () => {
    expect(lines()[1]).toContain("7 of 7 tensors as before");
    page.model.set("proof_state", { ...golden("state_proof"), restored: null, changed: 0, changed_names: [] });
    expect(lines()).toHaveLength(1);
    expect(lines()[0]).toContain("0 of 3 frozen tensors changed");
  });

  test("has the digests and the counts by component behind a disclosure", async () => {
    const details = page.find<HTMLDetailsElement>(".vf-proof details");
    expect(details.open).toBe(false);
    expect(details.textContent).not.toContain("60303ae2");
    details.open = true;
    details.dispatchEvent(new Event("toggle"));
    await settle();
    expect([...details.querySelectorAll("li")].map((li) => li.textContent)).toEqual([
      "vision tower 1 of 2 changed",
      "head 0 of 1 changed",
    ]);
    expect(details.querySelectorAll("tr")).toHaveLength(3);
    expect(details.querySelector("td")?.textContent).toMatch(/^[0-9a-f]{64}$/);
  });

  test("goes when another burst begins", () => {
    page.model.set("run_state", { ...golden("state_run"), burst: 3, rows: 0 });
    expect(page.find(".vf-proof").hidden).toBe(true);
  });
});

test("what a stranger saved as proof is read without harm", () => {
  expect(readProof({})).toBeNull();
  expect(readProof({ burst: 1, digests: [null, 3, ["a"]], components: "x", restored: 7 })?.digests).toEqual([
    ["", ""],
    ["", ""],
    ["a", ""],
  ]);
});
