/** A look that is asked of Python again and again as something is typed: after a pause, and only the last answer counts. */
import type { View } from "../parts/view";
import type { Loose } from "../base/loose";
import type { RequestName } from "../wire/messages";
import type { ErrorParts } from "../wire/run_state";

export interface Look {
  name: RequestName;
  args: Loose;
}

export class Looks {
  /** Whether an answer is awaited. */
  waiting = false;
  #asked = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly view: View,
    readonly got: (result: Loose, look: Look) => void,
    readonly failed: (error: ErrorParts) => void,
  ) {
    view.signal.addEventListener("abort", () => this.forget());
  }

  /** Asks after `pause` milliseconds, unless something else is asked before. */
  ask(look: Look, pause = 0): void {
    this.forget();
    this.waiting = true;
    this.#timer = setTimeout(() => void this.#send(look), pause);
  }

  /** Whatever answer comes is not wanted any more. */
  forget(): void {
    clearTimeout(this.#timer);
    this.waiting = false;
    this.#asked++;
  }

  async #send(look: Look): Promise<void> {
    const number = this.#asked;
    const { page } = this.view;
    const reply = await page.client.ask(look.name, look.args, page.plan?.rev ?? 0);
    if (number !== this.#asked) return;
    this.waiting = false;
    if (reply.ok) this.got(reply.result, look);
    else this.failed(reply.error);
  }
}
