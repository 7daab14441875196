/** Painting only what is rendered, and nothing at all while nothing is asked for. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { frame } from "../src/parts/frame";

type Callback = () => void;
let watching: Set<Observer>;
let element: HTMLElement;
let rendered: boolean;
let painted: number;
let end: AbortController;

/** An observer that tells nothing by itself: `show` does. */
class Observer {
  constructor(readonly callback: Callback) {}
  observe(): void {
    watching.add(this);
  }
  disconnect(): void {
    watching.delete(this);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("requestAnimationFrame", (callback: Callback) => setTimeout(callback, 16));
  vi.stubGlobal("cancelAnimationFrame", (id: number) => clearTimeout(id));
  vi.stubGlobal("ResizeObserver", Observer);
  vi.stubGlobal("IntersectionObserver", Observer);
  [watching, rendered, painted, end] = [new Set(), true, 0, new AbortController()];
  element = document.body.appendChild(document.createElement("div"));
  element.checkVisibility = () => rendered;
});
afterEach(() => {
  end.abort();
  element.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const make = (): (() => void) => {
  const painter = frame(element, () => painted++, end.signal);
  return () => painter.request();
};
const tell = (): void => [...watching].forEach((observer) => observer.callback());

test("many requests are one painting, after which nothing runs or watches", () => {
  const request = make();
  for (let i = 0; i < 5; i++) request();
  vi.runAllTimers();
  expect([painted, vi.getTimerCount(), watching.size]).toEqual([1, 0, 0]);
});

test("what is not rendered is painted once it is, and no timer runs meanwhile", () => {
  rendered = false;
  make()();
  vi.advanceTimersByTime(60_000);
  expect([painted, vi.getTimerCount(), watching.size]).toEqual([0, 0, 2]);
  tell(); // an observer's first word: still hidden
  expect(vi.getTimerCount()).toBe(0);
  rendered = true;
  tell();
  vi.runAllTimers();
  expect([painted, vi.getTimerCount(), watching.size]).toEqual([1, 0, 0]);
});

test("what is hidden again before the frame waits anew", () => {
  rendered = false;
  make()();
  vi.advanceTimersByTime(16);
  rendered = true;
  tell();
  rendered = false;
  vi.runAllTimers();
  expect([painted, watching.size]).toEqual([0, 2]);
  rendered = true;
  tell();
  vi.runAllTimers();
  expect(painted).toBe(1);
});

test("the end of the view ends the waiting", () => {
  rendered = false;
  const request = make();
  request();
  vi.advanceTimersByTime(16);
  end.abort();
  request();
  expect([vi.getTimerCount(), watching.size]).toEqual([0, 0]);
});
