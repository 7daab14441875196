import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { SECOND_LINE } from "../src/parts/palette";

const css = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "..", "src", "style", "tokens.css"), "utf8");

function tokens(block: string): Record<string, string> {
  return Object.fromEntries(
    [...block.matchAll(/--vf-([\w-]+): (#[0-9a-f]{6});/g)].map(([, name = "", colour = ""]) => [name, colour]),
  );
}

const cost = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "..", "src", "style", "cost.css"), "utf8");
const [light = "", dark = ""] = css.split('[data-theme="dark"]');
const themes = { light: tokens(light), dark: { ...tokens(light), ...tokens(dark) } };

/** WCAG's relative luminance. */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((i) => {
    const c = parseInt(colour.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

/** Difference of two colours as they are seen: the distance in OKLab. */
function difference(a: string, b: string): number {
  const [one, other] = [a, b].map((colour) => {
    const [r = 0, g = 0, b = 0] = [1, 3, 5].map((i) => {
      const c = parseInt(colour.slice(i, i + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    const l = Math.cbrt(0.4122 * r + 0.5363 * g + 0.0514 * b);
    const m = Math.cbrt(0.2119 * r + 0.6807 * g + 0.1074 * b);
    const s = Math.cbrt(0.0883 * r + 0.2817 * g + 0.63 * b);
    return [
      0.2105 * l + 0.7936 * m - 0.0041 * s,
      1.978 * l - 2.4286 * m + 0.4506 * s,
      0.0259 * l + 0.7828 * m - 0.8087 * s,
    ];
  });
  return Math.hypot(...(one ?? []).map((x, i) => x - (other?.[i] ?? 0)));
}

/** Parts of the memory bar -> the colour that each has; the first is of whatever has none of its own. */
const PARTS = [...cost.matchAll(/\[data-part(?:="([\w ]+)")?\] \{ background: var\(--vf-([\w-]+)\); \}/g)].map(
  ([, part = "temporary", name = ""]) => [part, name] as const,
);

const TEXT = [
  ["ink", "surface"],
  ["ink", "raised"],
  ["ink", "accent-soft"],
  ["muted", "surface"],
  ["muted", "raised"],
  ["muted", "sunken"],
  ["accent-ink", "accent"],
  ["frozen-ink", "frozen"],
  ["lora-ink", "lora"],
  ["full-ink", "full"],
  ["mixed-ink", "mixed"],
  ["none-ink", "none"],
  ["ok", "raised"],
  ["warning", "raised"],
  ["failure", "raised"],
  ["ink", "warning-soft"],
  ["muted", "warning-soft"],
  ["ink", "failure-soft"],
] as const;

describe.each(Object.entries(themes))("in the %s theme", (_, colours) => {
  test.each(TEXT)("%s on %s can be read (AA)", (text, ground) => {
    expect(contrast(colours[text] ?? "", colours[ground] ?? "")).toBeGreaterThanOrEqual(4.5);
  });

  test.each(["frozen", "lora", "full", "mixed", "none"])(
    "counts and letters on a %s tile can be read too",
    (tuning) => {
      const [ink = "", fill = ""] = [colours[`${tuning}-ink`], colours[tuning]];
      const blend = [1, 3, 5].map((i) =>
        Math.round(
          SECOND_LINE * parseInt(ink.slice(i, i + 2), 16) + (1 - SECOND_LINE) * parseInt(fill.slice(i, i + 2), 16),
        ),
      );
      expect(
        contrast(`#${blend.map((part) => part.toString(16).padStart(2, "0")).join("")}`, fill),
      ).toBeGreaterThanOrEqual(4.5);
    },
  );

  test.each([1, 2, 3, 4, 5, 6, 7, 8])("line and label %i can be read", (n) => {
    expect(contrast(colours[`series-${n}`] ?? "", colours.raised ?? "")).toBeGreaterThanOrEqual(4.4);
  });

  test("no two parts of the memory bar look alike", () => {
    expect(PARTS).toHaveLength(9);
    const alike = PARTS.flatMap(([a, x], i) =>
      PARTS.slice(i + 1)
        .filter(([, y]) => difference(colours[x] ?? "", colours[y] ?? "") < 0.1)
        .map(([b]) => [a, b]),
    );
    expect(alike).toEqual([]);
    // The greys that weights and batch once had.
    expect(difference(colours["part-weights"] ?? "", colours["strong-border"] ?? "")).toBeLessThan(0.1);
  });

  test("the focus ring and the selection stand out", () => {
    for (const ground of ["surface", "raised"])
      expect(contrast(colours.focus ?? "", colours[ground] ?? "")).toBeGreaterThanOrEqual(3);
  });
});
