import { expect, test } from "vitest";
import { spread } from "../src/burst/end_labels";
import { broken, drawn, lonely } from "../src/burst/gaps";
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

const none = undefined;

test("a look that found no number breaks the line from the look before to the look after", () => {
  expect(drawn([3, NaN, NaN, 2, NaN, Infinity, NaN, 1], false, true)).toEqual([3, none, none, 2, null, null, null, 1]);
});

test("steps without a look break nothing, and a training loss that is NaN does", () => {
  expect(drawn([3, NaN, 2], false, true)).toEqual([3, none, 2]);
  expect(drawn([3, NaN, 2], false, false)).toEqual([3, null, 2]);
  expect(drawn([3, 0, -1, 2], true, true)).toEqual([3, none, none, 2]);
});

test("a value between two breaks is a point, and so is a single one", () => {
  expect(lonely([3, null, 2, null, 1, 1])).toEqual([0, 2]);
  expect(lonely([none, 3, none])).toEqual([1]);
  expect(lonely([3, none, 2])).toEqual([]);
});

test("the steps to mark are those at which somebody looked", () => {
  expect(broken([1, NaN, Infinity], [1, 2, 3], true)).toEqual([3]);
  expect(broken([1, NaN, Infinity], [1, 2, 3], false)).toEqual([2, 3]);
});
