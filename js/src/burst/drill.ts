/** The gradient norm over the steps of the module that is selected on the map. Asked of Python, at most once a second. */
import type { MapState } from "../map/map_state";
import type { View } from "../parts/view";
import { list } from "../base/loose";
import { readNumber } from "../wire/numbers";

export const EVERY_MS = 1000;

export class Drill {
  node = -1;
  label = "";
  values: number[] = [];
  #asking = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly view: View,
    readonly state: MapState,
    readonly changed: () => void,
  ) {
    const { page, signal } = view;
    state.on(["selection"], () => this.#choose(), signal);
    page.on(["rows"], () => this.#later(), signal);
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
    this.#choose();
  }

  #choose(): void {
    const [only, ...more] = this.state.selected;
    const item = only === undefined || more.length ? null : this.state.display.item(only);
    const node = item && !item.isComponent && !item.members ? item.node : -1;
    if (node === this.node) return;
    this.node = node;
    this.values = [];
    this.label = item ? short(this.state.display.pathOf(item.id)) : "";
    this.changed();
    void this.#ask();
  }

  #later(): void {
    if (!this.view.page.rows.length && this.values.length) {
      this.values = [];
      this.changed();
    }
    if (this.node >= 0) this.#timer ??= setTimeout(() => void this.#ask(), EVERY_MS);
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { page } = this.view;
    const { node } = this;
    const burst = page.run?.burst ?? 0;
    if (node < 0 || burst === 0 || !page.alive) return;
    if (this.#asking) return this.#later();
    this.#asking = true;
    const reply = await page.client.ask("series", { burst, node }, page.plan?.rev ?? 0);
    this.#asking = false;
    if (node !== this.node) return void this.#ask();
    if (!reply.ok || reply.result.burst !== page.rows.burst) return;
    this.values = list(reply.result.values).map(readNumber);
    this.changed();
  }
}

const LABEL_LETTERS = 17;

/** As many of the last parts of a path as fit at the end of a line. */
function short(path: string): string {
  const parts = path.split(".");
  let label = parts.pop() ?? "";
  for (
    let next = parts.pop();
    next !== undefined && next.length + 1 + label.length <= LABEL_LETTERS;
    next = parts.pop()
  )
    label = `${next}.${label}`;
  return label;
}
