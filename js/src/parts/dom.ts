/** Elements from code. Text always goes in as text nodes; there is no way here to write markup. */
import { afterPress, forget } from "./presses";

export type Child = Node | string | number | null | undefined | false;
type Handlers = { [K in keyof HTMLElementEventMap as `on${K}`]?: (event: HTMLElementEventMap[K]) => void };
type Value = string | number | boolean | null | undefined | ((event: never) => void);
export type Props = Handlers & { [name: string]: Value };

/** `h("button.vf-button", { title: "Undo", onclick })` and children. True sets an empty attribute, false and null none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  spec: K | `${K}.${string}`,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const [tag = "div", ...classes] = spec.split(".");
  const element = document.createElement(tag as K);
  if (classes.length) element.className = classes.join(" ");
  set(element, props);
  append(element, children);
  return element;
}

/** Sets attributes and handlers. */
export function set(element: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value === false || value === null || value === undefined) element.removeAttribute(name);
    else if (value === true) element.setAttribute(name, "");
    else if (typeof value === "string" || typeof value === "number") element.setAttribute(name, String(value));
  }
}

export function append(element: Element, children: readonly Child[]): void {
  for (const child of children)
    if (child !== null && child !== undefined && child !== false)
      element.append(typeof child === "number" ? String(child) : child);
}

/** Replaces what an element holds; where the pointer is down on something in it, once it is up. With no children, at once. */
export function fill(element: Element, ...children: Child[]): void {
  const build = (): void => {
    element.replaceChildren();
    append(element, children);
  };
  if (children.length) return afterPress(element, build);
  forget(element);
  build();
}

/** Writes text only where it changed, so that selections and screen readers are left in peace. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
