import { afterEach, expect, test, vi } from "vitest";
import { fill, h } from "../src/parts/dom";
import { watchPresses } from "../src/parts/presses";

const ending = new AbortController();
const list = h("div", {}, h("button", {}, "old"));
const root = h("div", {}, list, h("p", {}, "beside"));
document.body.append(root);
watchPresses(root, ending.signal);

const pointer = (type: string, target: EventTarget): boolean =>
  target.dispatchEvent(new Event(type, { bubbles: true, composed: true }));
const later = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

afterEach(async () => {
  pointer("pointerup", window);
  await later();
  fill(list, h("button", {}, "old"));
});

test("what holds the pressed element is built anew after the click, with the last content", async () => {
  const clicked = vi.fn();
  const button = list.querySelector("button") as HTMLElement;
  list.addEventListener("click", clicked, { once: true });
  pointer("pointerdown", button);
  fill(list, "new");
  fill(list, "newest");
  expect(button.isConnected).toBe(true);
  pointer("pointerup", button);
  pointer("click", button);
  expect(clicked).toHaveBeenCalledOnce();
  await later();
  expect(list.textContent).toBe("newest");
});

test("what holds no pressed element is built at once", () => {
  pointer("pointerdown", root.querySelector("p") as HTMLElement);
  fill(list, "new");
  expect(list.textContent).toBe("new");
});

test("what a click builds is there at once, and what waited before it does not overwrite it", async () => {
  const button = list.querySelector("button") as HTMLElement;
  pointer("pointerdown", button);
  fill(list, "waits");
  pointer("pointerup", button);
  list.addEventListener("click", () => fill(list, "asked for"), { once: true });
  pointer("click", button);
  expect(list.textContent).toBe("asked for");
  await later();
  expect(list.textContent).toBe("asked for");
});

test("a pointer that is released elsewhere, or lost, leaves nothing waiting", async () => {
  for (const end of ["pointerup", "pointercancel", "blur"]) {
    pointer("pointerdown", list.firstElementChild as HTMLElement);
    fill(list, h("button", {}, end));
    expect(list.textContent).not.toBe(end);
    pointer(end, window);
    await later();
    expect(list.textContent).toBe(end);
  }
});

test("an element that is emptied is empty at once", async () => {
  pointer("pointerdown", list.firstElementChild as HTMLElement);
  fill(list, "new");
  fill(list);
  expect(list.childNodes).toHaveLength(0);
  pointer("pointerup", window);
  await later();
  expect(list.childNodes).toHaveLength(0);
});
