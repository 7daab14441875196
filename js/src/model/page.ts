/**
 * Everything that one widget knows, whichever views show it: the traits as read, the rows of the burst, the last paint, the
 * connection, the errors on the shelf. Made in `initialize` and found again by each `render`. It draws nothing.
 */
import { listen, readOptions, type Host, type Model, type Options } from "../base/host";
import { DisplayTree } from "../tree/display_tree";
import { ModelTree } from "../tree/model_tree";
import type { Loose } from "../base/loose";
import { isEdit, isRollCall, readEvent, type PaintEvent, type WishName } from "../wire/messages";
import { readCompare, type CompareState } from "../wire/compare_state";
import { readCost, type CostState } from "../wire/cost_state";
import { readData, type DataState } from "../wire/data_state";
import { readProbe, type ProbeState } from "../wire/probe_state";
import { readProof, type ProofState } from "../wire/proof_state";
import { readAdvice, type AdviceState } from "../wire/advice_state";
import { readLoad, type LoadState } from "../wire/load_state";
import { readSaved, type SavedState } from "../wire/saved_state";
import { readRuns, type RunsState } from "../wire/runs_state";
import { readStages, type StagesState } from "../wire/stages_state";
import { readPlan, type PlanState } from "../wire/plan_state";
import { readRun, type ErrorParts, type RunState } from "../wire/run_state";
import { readTree } from "../wire/tree_state";
import { Client } from "./client";
import { Edits } from "./edits";
import { connect } from "./link";
import { Rows } from "./rows";
import { Topics } from "../base/topics";

export type Topic = "tree" | "plan" | "run" | "rows" | "paint" | "probe" | "cost" | "data" | "proof" | "saved" | "advice" | "stages" | "runs" | "compare" | "connection" | "errors" | "options";

export class Page extends Topics<Topic> {
  tree: ModelTree | null = null;
  display: DisplayTree | null = null;
  run: RunState | null = null;
  paint: PaintEvent | null = null;
  /** How far the last measured step moved each node, relative to its weights. */
  updates: PaintEvent | null = null;
  probe: ProbeState | null = null;
  data: DataState | null = null;
  proof: ProofState | null = null;
  saved: SavedState | null = null;
  advice: AdviceState | null = null;
  stages: StagesState | null = null;
  runs: RunsState | null = null;
  /** How weights could be loaded. */
  get loading(): LoadState {
    return readLoad(this.model.get("load_state"));
  }
  cost: CostState | null = null;
  compare: CompareState | null = null;
  readonly rows = new Rows();
  readonly client = new Client(() => this.emit("connection"));
  readonly edits = new Edits(this.client, () => this.tree, () => this.emit("plan"), (error) => this.complain(error));
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
    this.#readTree();
    this.#readPlan();
    this.#readRun();
    this.#readProbe();
    this.#readData();
    this.#readProof();
    this.#readSaved();
    this.#readAdvice();
    this.#readCost();
    this.#readCompare();
    this.#readStages();
    this.#readRuns();
    listen(model, "change:tree_state", () => this.#readTree(), signal);
    listen(model, "change:plan_state", () => this.#readPlan(), signal);
    listen(model, "change:run_state", () => this.#readRun(), signal);
    listen(model, "change:probe_state", () => this.#readProbe(), signal);
    listen(model, "change:data_state", () => this.#readData(), signal);
    listen(model, "change:proof_state", () => this.#readProof(), signal);
    listen(model, "change:saved_state", () => this.#readSaved(), signal);
    listen(model, "change:advice_state", () => this.#readAdvice(), signal);
    listen(model, "change:cost_state", () => this.#readCost(), signal);
    listen(model, "change:compare_state", () => this.#readCompare(), signal);
    listen(model, "change:runs_state", () => this.#readRuns(), signal);
    listen(model, "change:stages_state", () => this.#readStages(), signal);
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

  /** Whether a wish can reach Python. */
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
  async wish(name: WishName, args: Loose = {}): Promise<Loose | null> {
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

  #readData(): void {
    const state = this.model.get("data_state");
    if (!state) return;
    this.data = readData(state);
    this.emit("data");
  }

  #readProof(): void {
    this.proof = readProof(this.model.get("proof_state"));
    this.emit("proof");
  }

  #readAdvice(): void {
    this.advice = readAdvice(this.model.get("advice_state"));
    this.emit("advice");
  }

  #readCompare(): void {
    this.compare = readCompare(this.model.get("compare_state"));
    this.emit("compare");
  }

  #readRuns(): void {
    this.runs = readRuns(this.model.get("runs_state"));
    this.emit("runs");
  }

  #readStages(): void {
    this.stages = readStages(this.model.get("stages_state"));
    this.emit("stages");
  }

  #readSaved(): void {
    this.saved = readSaved(this.model.get("saved_state"));
    this.emit("saved");
  }

  #readCost(): void {
    const state = readCost(this.model.get("cost_state"));
    if (!state) return;
    if (state.by_node.length !== this.tree?.size) state.by_node = new Float32Array();
    this.cost = state;
    this.emit("cost");
  }

  #readProbe(): void {
    const state = readProbe(this.model.get("probe_state"));
    if (!state.probe) return;
    if (state.open.length !== this.tree?.size) state.open = new Float32Array();
    this.probe = state;
    this.emit("probe");
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
