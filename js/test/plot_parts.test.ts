import { expect, test } from "vitest";
import { spread } from "../src/burst/end_labels";
import { decades, ticks } from "../src/burst/log_ticks";

test("a log axis spans whole decades around the values", () => {
  expect(decades(0.04, 6.5)).toEqual([0.01, 10]);
  expect(decades(2, 3)).toEqual([1, 10]);
  expect(decades(1, 1)).toEqual([1, 10]);
  expect(decades(NaN, NaN)).toEqual([0.1, 10]);
});

test("its ticks are powers of ten, few of them, and more within one decade", () => {
  expect(ticks(0.01, 10)).toEqual([0.01, 0.1, 1, 10]);
  expect(ticks(1, 10)).toEqual([1, 2, 5, 10]);
  expect(ticks(1e-12, 1).length).toBeLessThanOrEqual(6);
});

test("labels keep their order, their distance and the plot", () => {
  expect(spread([10, 11, 50], 13, 0, 100)).toEqual([10, 23, 50]);
  const squeezed = spread([99, 98, 97], 13, 0, 100);
  expect(squeezed).toEqual([100, 87, 74]);
});
