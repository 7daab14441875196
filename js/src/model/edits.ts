/**
 * Edits of the strategy on their way: shown at once, sent one after another (each names the revision it was made on, so two
 * in flight would refuse each other), forgotten when Python's plan has caught up, taken back when one is refused.
 */
import type { ModelTree } from "../tree/model_tree";
import type { Loose } from "../base/loose";
import type { RequestName } from "../wire/messages";
import type { PlanState } from "../wire/plan_state";
import type { ErrorParts } from "../wire/run_state";
import type { Client } from "./client";
import { preview } from "./preview";

interface Edit {
  name: RequestName;
  args: Loose;
  /** The revision that Python gave it. */
  rev: number | null;
}

export class Edits {
  #pending: Edit[] = [];
  #flying = false;
  #answered = 0;
  #base: PlanState | null = null;
  #shown: PlanState | null = null;

  constructor(
    readonly client: Client,
    readonly tree: () => ModelTree | null,
    readonly changed: () => void,
    readonly failed: (error: ErrorParts) => void,
  ) {}

  /** Whether Python has still to confirm something. */
  get waiting(): boolean {
    return this.#pending.length > 0;
  }

  /** Python's plan with the edits that it does not contain yet. */
  get shown(): PlanState | null {
    return this.#shown;
  }

  /** Takes in a plan of Python's. */
  base(plan: PlanState): void {
    this.#base = plan;
    this.#forget();
  }

  make(name: RequestName, args: Loose): void {
    this.#pending.push({ name, args, rev: null });
    this.#redraw();
    void this.#send();
  }

  async #send(): Promise<void> {
    if (this.#flying) return;
    this.#flying = true;
    for (let edit = this.#unsent(); edit; edit = this.#unsent()) {
      const reply = await this.client.ask(edit.name, edit.args, Math.max(this.#base?.rev ?? 0, this.#answered));
      if (reply.ok) {
        edit.rev = this.#answered = reply.rev;
      } else {
        this.#pending = [];
        this.failed(reply.error);
      }
      this.#forget();
    }
    this.#flying = false;
  }

  #unsent(): Edit | undefined {
    return this.#pending.find((edit) => edit.rev === null);
  }

  #forget(): void {
    const rev = this.#base?.rev ?? 0;
    this.#pending = this.#pending.filter((edit) => edit.rev === null || edit.rev > rev);
    this.#redraw();
  }

  #redraw(): void {
    const tree = this.tree();
    this.#shown = this.#base;
    if (tree && this.#base)
      for (const edit of this.#pending) this.#shown = preview(tree, this.#shown as PlanState, edit.name, edit.args);
    this.changed();
  }
}
