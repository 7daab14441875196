/** A kernel that plans by simple rules, answers every request and streams an invented burst: enough to design the page against. */
import { preview } from "../src/model/preview";
import { ModelTree } from "../src/tree/model_tree";
import { record } from "../src/base/loose";
import { EDITS, type RequestName } from "../src/wire/messages";
import { readPlan, type PlanState } from "../src/wire/plan_state";
import { readTree } from "../src/wire/tree_state";
import { count, rate } from "../src/format";
import type { FakeModel } from "./fake_model";

type Loose = Record<string, unknown>;

export class FakeKernel {
  readonly tree: ModelTree;
  plan: PlanState;
  past: PlanState[] = [];
  future: PlanState[] = [];
  run: Loose = {
    v: 1,
    phase: "idle",
    burst: 0,
    steps: 0,
    step: 0,
    rows: 0,
    seconds_per_step: null,
    eta_seconds: null,
    tokens_per_second: null,
    memory_bytes: null,
    estimate_bytes: null,
    groups: [],
    columns: { lr: [], grad_norm: [] },
    verdicts: [],
    verdict_after: null,
    skipped: 0,
    message: null,
    error: null,
    can_run: true,
    why_not: null,
    outcome: null,
    default_steps: 50,
  };
  rows: number[][] = [];
  timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    readonly model: FakeModel,
    readonly channel: FakeModel,
    tree: unknown,
    readonly stepMs = 120,
  ) {
    this.tree = new ModelTree(readTree(tree));
    this.plan = this.first();
    model.set("plan_state", this.wirePlan());
    model.set("run_state", this.run);
    channel.onSend = (request) => setTimeout(() => this.answer(record(request)), 30);
  }

  answer(request: Loose): void {
    const reply = { v: 1, kind: "reply", id: request.id, ok: true, rev: this.plan.rev, result: {} as Loose };
    const name = request.name as RequestName;
    const args = record(request.args);
    if ((EDITS as readonly string[]).includes(name)) this.edit(name, args);
    else reply.result = this.act(name, args);
    this.channel.message({ ...reply, rev: this.plan.rev });
  }

  edit(name: RequestName, args: Loose): void {
    const before = this.plan;
    if (name === "undo" && this.past.length) this.future.push(before), (this.plan = this.past.pop() as PlanState);
    else if (name === "redo" && this.future.length)
      this.past.push(before), (this.plan = this.future.pop() as PlanState);
    else {
      this.past.push(before);
      this.future = [];
      this.plan = preview(
        this.tree,
        name === "preset" ? { ...this.first(), strategy_name: args.name as string } : before,
        name,
        args,
      );
      if (name === "set_tuning")
        this.plan.rules = [
          ...this.plan.rules,
          ...(args.targets as string[]).map((target) => ({ target, tuning: "full" as const, text: "" })),
        ];
    }
    this.plan = { ...this.plan, rev: before.rev + 1 };
    setTimeout(() => this.model.set("plan_state", this.wirePlan()), 60);
  }

  act(name: RequestName, args: Loose): Loose {
    if (name === "hello") return { subshell: "subshell-1" };
    if (name === "run") {
      this.start(args.steps as number);
      return { burst: this.run.burst };
    }
    if (name === "series")
      return {
        burst: this.run.burst,
        node: args.node,
        values: this.rows.map((row, i) => 0.2 * (row[9] ?? 1) * (1 + 0.3 * Math.sin(i / 3))),
      };
    if (name === "snapshot") this.send(args.from as number);
    if (name === "pause") this.status({ phase: "paused" });
    if (name === "resume") this.status({ phase: "running" });
    if (name === "stop") this.finish();
    if (name === "keep") this.status({ phase: "idle", outcome: "kept", can_run: true });
    if (name === "discard") this.status({ phase: "idle", outcome: "discarded", can_run: true });
    return {};
  }

  start(steps: number): void {
    this.rows = [];
    const trained = this.plan.components.filter((c) => c.tuning !== "frozen");
    const names = trained.map((c) => c.name);
    this.status({
      phase: "running",
      burst: (this.run.burst as number) + 1,
      steps,
      step: 0,
      rows: 0,
      groups: trained.map((c) => ({ component: c.name, lr: c.lr })),
      columns: { lr: names, grad_norm: names },
      outcome: null,
      can_run: false,
      why_not: "A burst is running.",
      verdicts: this.verdicts(false),
      verdict_after: null,
      estimate_bytes: 21.4e9,
    });
    clearInterval(this.timer);
    this.timer = setInterval(() => this.run.phase === "running" && this.step(trained), this.stepMs);
  }

  step(trained: PlanState["components"]): void {
    const i = this.rows.length;
    const steps = this.run.steps as number;
    const wobble = (k: number): number => 1 + 0.12 * Math.sin(i * 1.7 + k * 2.1) * Math.cos(i * 0.6 + k);
    const loss = 0.42 + 2.7 * Math.exp(-i / 8) * wobble(0) + 0.02 * Math.sin(i);
    const norms = trained.map((c, k) =>
      c.tuning === "lora"
        ? 0.6 * (1 - Math.exp(-(i + 0.2) / 3)) * wobble(k + 1)
        : 6.5 * Math.exp(-i / 22) * wobble(k + 1),
    );
    this.rows.push([
      i + 1,
      loss,
      i % 5 === 4 ? loss * 1.12 : NaN,
      Math.hypot(...norms),
      2560,
      0.41,
      21.1e9,
      ...trained.map((c) => c.lr ?? 2e-4),
      ...norms,
    ]);
    this.send(i);
    const values = Float32Array.from({ length: this.tree.size }, (_, n) =>
      this.plan.tuning[n] === 1 || this.plan.tuning[n] === 2
        ? 0.02 * (1 + (n % 17)) * Math.exp(-(n % 40) / 9) * wobble(n % 7)
        : NaN,
    );
    this.model.message({ v: 1, kind: "paint", burst: this.run.burst, step: i + 1, metric: "grad_norm" }, [
      new DataView(values.buffer),
    ]);
    this.status({
      step: i + 1,
      rows: i + 1,
      seconds_per_step: 0.41,
      eta_seconds: (steps - i - 1) * 0.41,
      tokens_per_second: 6240,
      memory_bytes: 21.1e9,
      ...(i >= 2 ? { verdicts: this.verdicts(true), verdict_after: 3 } : {}),
    });
    if (i + 1 >= steps) this.finish();
  }

  finish(): void {
    clearInterval(this.timer);
    this.status({ phase: "deciding", why_not: "Keep or discard the last burst first." });
  }

  send(first: number): void {
    const rows = this.rows.slice(first);
    if (!rows.length) return;
    const flat = Float64Array.from(rows.flat());
    this.model.message(
      { v: 1, kind: "rows", burst: this.run.burst, first, count: rows.length, width: rows[0]?.length ?? 0 },
      [new DataView(flat.buffer)],
    );
  }

  status(change: Loose): void {
    this.run = { ...this.run, ...change };
    if (this.run.can_run) this.run.why_not = null;
    this.model.set("run_state", this.run);
  }

  verdicts(done: boolean): Loose[] {
    return this.plan.components.slice(0, 3).map((c) => ({
      component: c.name,
      label: c.label,
      selected: c.tuning !== "frozen",
      lr: c.lr,
      gradient: null,
      moved: null,
      status: !done ? "pending" : c.name === "language_model" && c.tuning === "lora" ? "warning" : "ok",
      text: !done
        ? "waiting for three steps"
        : c.tuning === "frozen"
          ? "frozen: 0 of 391 tensors changed"
          : c.tuning === "lora"
            ? "31 % of updates vanish in bfloat16: use float32 masters"
            : `lr ${rate(c.lr ?? 1e-3)} · gradient 0.9 · moved 2.1e-3`,
    }));
  }

  /** The plan as Python would say it: counts, sentence and cost from the tuning column. */
  wirePlan(): Loose {
    const { plan, tree } = this;
    let [full, lora, modules] = [0, 0, 0];
    for (let n = 0; n < tree.size; n++) {
      if (!tree.isLeaf(n)) continue;
      if (plan.tuning[n] === 2) full += tree.params(n);
      if (plan.tuning[n] === 1) (lora += Math.sqrt(tree.params(n)) * 32), modules++;
    }
    const total = tree.state.total_params;
    const sentence = plan.components
      .map(
        (c) =>
          `${c.label} ${c.tuning === "lora" ? `LoRA r${c.rank} ${rate(c.lr ?? 0)}` : c.tuning === "full" ? `full ${rate(c.lr ?? 0)}` : c.tuning}`,
      )
      .join(" · ");
    const parts = [
      ["weights", 2 * total],
      ["adapters", 4 * lora],
      ["gradients", 4 * (full + lora)],
      ["optimizer", 12 * full + 8 * lora],
      ["activations", 6.4e9],
    ] as const;
    return {
      ...plan,
      v: 1,
      sentence,
      trainable_params: full + lora,
      total_params: total,
      frozen_params: total - full,
      adapter_params: lora,
      tuning: new DataView(plan.tuning.slice().buffer),
      counts: { frozen: total - full, full, lora, lora_modules: modules },
      cost: {
        title: "Cost of one step",
        note: "batch 4 · 336 px · 640 tokens",
        parts: parts.map(([name, bytes]) => ({ name, label: name, bytes })),
        total_bytes: parts.reduce((s, [, b]) => s + b, 0),
        limit_bytes: 24e9,
      },
      warnings:
        full > 1e9
          ? [
              {
                code: "too-big",
                severity: "refusal",
                message: `Training ${count(full)} parameters in full needs more memory than the device has.`,
                remedy: "Use LoRA for the language model.",
                paths: ["language_model"],
                count: 1,
              },
            ]
          : lora
            ? [
                {
                  code: "half-precision",
                  severity: "warning",
                  message: "Adapters of a bfloat16 model train in float32.",
                  remedy: "",
                  paths: ["model.language_model.layers.0.self_attn.q_proj"],
                  count: modules,
                },
              ]
            : [],
      can_undo: this.past.length > 0,
      can_redo: this.future.length > 0,
    };
  }

  first(): PlanState {
    const { components } = this.tree.state;
    const blank = readPlan({
      rev: 1,
      total_params: this.tree.state.total_params,
      strategy_name: "llava-1.5/lora",
      tuning: new DataView(new ArrayBuffer(this.tree.size)),
      components: components.map((c) => ({
        name: c.name,
        label: c.label,
        tuning: "frozen",
        params: c.params,
        blocks: c.name === "vision_tower" ? { count: c.blocks?.count, last: 0 } : null,
      })),
    });
    const projector = preview(this.tree, blank, "set_tuning", { targets: ["projector"], tuning: "full" });
    const plan = preview(this.tree, projector, "set_tuning", { targets: ["language_model"], tuning: "lora" });
    return {
      ...plan,
      components: plan.components.map((c) =>
        c.name === "language_model"
          ? { ...c, lr: 2e-4, rank: 16, alpha: 32, targets: 224, adaptable: 224 }
          : c.name === "projector"
            ? { ...c, lr: 1e-3 }
            : c,
      ),
    };
  }
}
