/**
 * Everything that one widget knows, whichever views show it: the traits as read, the rows of the burst, the last paint, the
 * connection, the errors on the shelf. Made in `initialize` and found again by each `render`. It draws nothing.
 */
import { listen, readOptions, type Host, type Model, type Options } from "../base/host";
import { DisplayTree } from "../tree/display_tree";
import { ModelTree } from "../tree/model_tree";
import type { Loose } from "../base/loose";
import { isEdit, isRollCall, readEvent, type PaintEvent, type RequestName } from "../wire/messages";
import { readLoad, type LoadState } from "../wire/load_state";
import { readPlan, type PlanState } from "../wire/plan_state";
import { readRun, type ErrorParts, type RunState } from "../wire/run_state";
import { readTree } from "../wire/tree_state";
import { Client } from "./client";
import { Edits } from "./edits";
import { connect } from "./link";
import { STATES, STATE_TOPICS, type StateTopic, type States } from "./page_states";
import { Rows } from "./rows";
import { Topics } from "../base/topics";

export type Topic = StateTopic | "tree" | "plan" | "run" | "rows" | "paint" | "connection" | "errors" | "options";

/** With a field for each row of the table of states. */
const WithStates = Topics as new () => Topics<Topic> & States;

export class Page extends WithStates {
  tree: ModelTree | null = null;
  display: DisplayTree | null = null;
  run: RunState | null = null;
  paint: PaintEvent | null = null;
  /** How far the last measured step moved each node, relative to its weights. */
  updates: PaintEvent | null = null;
  /** How weights could be loaded. */
  get loading(): LoadState {
    return readLoad(this.model.get("load_state"));
  }
  readonly rows = new Rows();
  readonly client = new Client(() => this.emit("connection"));
  readonly edits = new Edits(
    this.client,
    () => this.tree,
    () => this.emit("plan"),
    (error) => this.complain(error),
  );
  /** Null: no subshell answered, so Stop waits for the cell. Undefined: not known yet. */
  subshell: string | null | undefined = undefined;
  errors: ErrorParts[] = [];
  /** Whether views fold repeated layers. */
  folding = true;
  #asked = false;
  #views = 0;
  #wasLeft = false;
  #late: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly model: Model,
    readonly signal?: AbortSignal,
  ) {
    super();
    for (const topic of STATE_TOPICS) (this as States)[topic] = null;
    this.#readTree();
    this.#readPlan();
    this.#readRun();
    for (const topic of STATE_TOPICS) this.#read(topic);
    listen(model, "change:tree_state", () => this.#readTree(), signal);
    listen(model, "change:plan_state", () => this.#readPlan(), signal);
    listen(model, "change:run_state", () => this.#readRun(), signal);
    for (const topic of STATE_TOPICS) listen(model, `change:${STATES[topic].trait}`, () => this.#read(topic), signal);
    listen(model, "change:options", () => this.emit("options"), signal);
    listen(model, "msg:custom", (message, buffers) => this.#event(message, buffers as unknown[] | undefined), signal);
    signal?.addEventListener("abort", () => clearTimeout(this.#late), { once: true });
  }

  get plan(): PlanState | null {
    return this.edits.shown;
  }

  get options(): Options {
    return readOptions(this.model.get("options"), 430);
  }

  /** Whether a request can reach Python. */
  get alive(): boolean {
    return this.client.attached && this.client.connection !== "gone" && this.client.connection !== "absent";
  }

  /** Opens the command channel for a view. */
  connect(host: Host | undefined, signal?: AbortSignal): void {
    connect(this, host, signal);
  }

  /** A view is there until the function returned takes it away. Python is told when that was the last: what nobody sees may end. */
  show(): () => void {
    this.#views += 1;
    if (this.#wasLeft) this.#tellViews();
    this.#wasLeft = false;
    return () => {
      this.#views -= 1;
      if (this.#views > 0) return;
      this.#wasLeft = true;
      this.#tellViews();
    };
  }

  #tellViews(): void {
    if (this.alive) void this.client.ask("views", { page: this.client.prefix, count: this.#views }, 0);
  }

  /** Edits go through the queue and are shown at once; everything else is asked and a refusal goes on the shelf. */
  async request(name: RequestName, args: Loose = {}): Promise<Loose | null> {
    if (!this.alive) return null;
    if (isEdit(name)) {
      this.edits.make(name, args);
      return null;
    }
    const reply = await this.client.ask(name, args, this.plan?.rev ?? 0);
    if (reply.ok) return reply.result;
    this.complain(reply.error);
    return null;
  }

  complain(error: ErrorParts): void {
    if (error.code === "no-kernel") return; // the banner says it
    this.errors = [...this.errors.filter((e) => e.message !== error.message), error].slice(-3);
    this.emit("errors");
  }

  dismiss(error: ErrorParts): void {
    this.errors = this.errors.filter((e) => e !== error);
    this.emit("errors");
  }

  /** Asks for the rows that are missing, one request at a time. A gap proves that some are, before `run_state` counts them. */
  async fill(gap = false): Promise<void> {
    const { run, rows } = this;
    if (this.#asked || !run || !this.alive || !(gap || run.rows > rows.length || run.burst > rows.burst)) return;
    this.#asked = true;
    const burst = Math.max(run.burst, rows.burst);
    await this.client.ask("snapshot", { burst, from: rows.burst === burst ? rows.length : 0 }, this.plan?.rev ?? 0);
    this.#asked = false;
    this.#lookAgain();
  }

  #readTree(): void {
    const state = this.model.get("tree_state");
    if (!state) return;
    this.tree = new ModelTree(readTree(state));
    this.display = new DisplayTree(this.tree);
    this.emit("tree");
  }

  #readPlan(): void {
    const state = this.model.get("plan_state");
    if (state) this.edits.base(readPlan(state));
  }

  #readRun(state = this.model.get("run_state")): void {
    if (!state) return;
    const before = this.run;
    this.run = readRun(state);
    if (this.run.burst > this.rows.burst) {
      this.rows.begin(this.run.burst);
      this.paint = this.updates = null;
      this.emit("rows");
      this.emit("paint");
    }
    const { error } = this.run;
    for (const old of this.errors) if (!error && old.message === before?.error?.message) this.dismiss(old);
    if (error && error.message !== before?.error?.message) this.complain(error);
    this.emit("run");
    this.#lookAgain();
  }

  #read<T extends StateTopic>(topic: T): void {
    const { trait, read } = STATES[topic];
    const found = read(this.model.get(trait), this.tree?.size);
    if (found === undefined) return;
    (this as States)[topic] = found as States[T];
    this.emit(topic);
  }

  /** The last rows of a burst have no successor that would reveal their loss: compare with what Python says it holds. */
  #lookAgain(): void {
    clearTimeout(this.#late);
    if (this.run && this.run.rows > this.rows.length) this.#late = setTimeout(() => void this.fill(), 400);
  }

  #event(message: unknown, buffers: unknown[] | undefined): void {
    if (isRollCall(message) && this.#views) this.#tellViews();
    const event = readEvent(message, buffers);
    if (event?.kind === "rows") {
      if (event.run) this.#readRun(event.run); // its columns are those of the rows
      const taken = this.rows.take(event);
      if (taken === "gap") void this.fill(true);
      if (taken === "new") this.emit("rows");
      for (const paint of event.paints ?? []) this.#takePaint(paint);
    } else if (event?.kind === "paint") this.#takePaint(event);
  }

  #takePaint(event: PaintEvent): void {
    if (event.burst < this.rows.burst || event.values.length !== this.tree?.size) return;
    if (event.metric === "update_ratio") this.updates = event;
    else this.paint = event;
    this.emit("paint");
  }
}
