/**
 * The page's side of the command channel: a promise per request, told apart by ids with a prefix of this page. A request is never
 * given up: after ten seconds the page says that Python has not answered yet, and a late reply still counts. The hello that
 * finds Python's subshell is `hello.ts`; what a request means is decided by who sends it.
 */
import { listen, type Model } from "../base/host";
import { t } from "../language/words";
import { readReply, request, type Reply, type RequestName } from "../wire/messages";
import type { Loose } from "../base/loose";
import type { ErrorParts } from "../wire/run_state";

export const PATIENCE_MS = 10_000;

/** What the page knows of the other end. */
export type Connection = "opening" | "live" | "absent" | "gone";

interface Open {
  settle: (reply: Reply) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class Client {
  readonly prefix: string;
  connection: Connection = "opening";
  /** Requests that have waited longer than patience allows. */
  overdue = 0;
  #next = 1;
  #open = new Map<string, Open>();
  #late = new Set<string>();
  #channels: Model[] = [];

  constructor(
    readonly changed: () => void,
    prefix = pagePrefix(),
  ) {
    this.prefix = prefix;
  }

  /** Takes a command model into use; several views of one widget bring one each. */
  attach(channel: Model, signal?: AbortSignal): void {
    this.#channels.push(channel);
    listen(channel, "msg:custom", (message) => this.#receive(message), signal);
    signal?.addEventListener("abort", () => (this.#channels = this.#channels.filter((c) => c !== channel)), {
      once: true,
    });
  }

  get attached(): boolean {
    return this.#channels.length > 0;
  }

  /** Sends a request; the promise always resolves, with a failed reply when the kernel is gone. */
  ask(name: RequestName, args: Loose, rev: number): Promise<Reply> {
    const id = `${this.prefix}-${this.#next++}`;
    return new Promise((settle) => {
      const timer = setTimeout(() => this.#grow(id), PATIENCE_MS);
      this.#open.set(id, { settle, timer });
      try {
        const channel = this.#channels[this.#channels.length - 1];
        if (!channel || this.connection === "gone" || this.connection === "absent") throw new Error("no channel");
        // A host may answer with a promise that rejects; either way the request did not leave.
        void Promise.resolve(channel.send(request(id, rev, name, args)) as unknown).catch(() => this.lose("gone"));
      } catch {
        this.lose(this.connection === "absent" ? "absent" : "gone");
      }
    });
  }

  /** The kernel is not there (any more): every open request fails, and the page says why. */
  lose(how: "absent" | "gone"): void {
    const before = this.connection;
    this.connection = how;
    for (const id of [...this.#open.keys()]) this.#settle(id, { id, rev: 0, ok: false, error: noKernel() });
    if (before !== how) this.changed();
  }

  /** The kernel may be back; the next reply proves it. */
  reopen(): void {
    this.connection = "opening";
    this.changed();
  }

  #receive(message: unknown): void {
    const reply = readReply(message);
    if (!reply || !this.#open.has(reply.id)) return;
    const before = this.connection;
    this.connection = "live";
    this.#settle(reply.id, reply);
    if (before !== "live") this.changed();
  }

  #settle(id: string, reply: Reply): void {
    const open = this.#open.get(id);
    if (!open) return;
    clearTimeout(open.timer);
    this.#open.delete(id);
    if (this.#late.delete(id)) {
      this.overdue = this.#late.size;
      this.changed();
    }
    open.settle(reply);
  }

  #grow(id: string): void {
    this.#late.add(id);
    this.overdue = this.#late.size;
    this.changed();
  }
}

/** The error of a request that cannot reach Python. The banner says it too, so it is not shown on the shelf. */
export const noKernel = (): ErrorParts => ({
  code: "no-kernel",
  message: t("The kernel is not connected."),
  expected: t("a running kernel"),
  found: t("none"),
  remedy: t("Run the cell again."),
  traceback: "",
});

function pagePrefix(): string {
  return `p${Math.floor(Math.random() * 2 ** 40).toString(36)}`;
}
