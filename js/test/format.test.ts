import { expect, test } from "vitest";
import { count, measure, rate, seconds, share, size, whole } from "../src/format";

test("parameters have three significant digits and a letter", () => {
  expect([7_062_000_000, 61_000_000, 131_330_000, 20_979_712, 1250, 12, 1.2e12].map(count)).toEqual([
    "7.06 B",
    "61.0 M",
    "131.3 M",
    "21.0 M",
    "1.25 K",
    "12",
    "1.20 T",
  ]);
});

test("learning rates look as people write them", () => {
  expect([1e-3, 2e-4, 2.5e-5, 1, 0].map(rate)).toEqual(["1e-3", "2e-4", "2.5e-5", "1e0", "0"]);
});

test("shares have two significant digits", () => {
  expect([share(61, 7062), share(0, 5), share(5, 5), share(1, 3), share(1, 0), share(1, 1e9)]).toEqual([
    "0.86 %",
    "0 %",
    "100 %",
    "33 %",
    "0 %",
    "<0.001 %",
  ]);
});

test("bytes, durations and counts of tokens", () => {
  expect([size(14.12e9), size(512_000), size(12)]).toEqual(["14.1 GB", "512.0 kB", "12 B"]);
  expect([seconds(0.41), seconds(12.3), seconds(200)]).toEqual(["0.41 s", "12 s", "3 min 20 s"]);
  expect([seconds(0.0032), seconds(0.0992), seconds(0.1), seconds(4.2e-6), seconds(1e-9), seconds(0)]).toEqual([
    "3.2 ms",
    "99 ms",
    "0.1 s",
    "0.0042 ms",
    "<0.0001 ms",
    "0 s",
  ]);
  expect([whole(6240.2), whole(999), whole(1234567)]).toEqual(["6,240", "999", "1,234,567"]);
});

test("measured values stay short at any magnitude, and what is no number says so", () => {
  expect([0.9, 12.345, 0.0021, 1234567, 0].map(measure)).toEqual(["0.9", "12.3", "2.1e-3", "1.2e6", "0"]);
  expect([NaN, Infinity, -Infinity].map(measure)).toEqual(["–", "∞", "−∞"]);
});
