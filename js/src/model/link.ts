/**
 * The link to the kernel over its life: opening the command model, greeting, noticing that the kernel was restarted or is
 * not there at all (a saved notebook), and coming back. Saved state never acts: all that leaves here is hello and snapshot.
 */
import { listen, type Host, type Model } from "../base/host";
import { hello } from "./hello";
import type { Page } from "./page";

/** Opens the channel for one view; a second view of the same widget adds its own. */
export function connect(page: Page, host: Host | undefined, signal?: AbortSignal): void {
  const ref = page.model.get("commands");
  const opening = typeof ref === "string" && host ? host.getModel(ref) : Promise.reject(new Error("no command model"));
  opening.then(
    async (channel) => {
      if (signal?.aborted) return;
      const first = !page.client.attached;
      page.client.attach(channel, signal);
      const check = (): void => void look(page, channel, String(ref), signal);
      for (const model of [page.model, channel]) {
        listen(model, "comm_live_update", check, signal);
        listen(model, "comm:close", () => page.client.lose("gone"), signal);
      }
      followRestarts(channel, () => page.client.lose("gone"), signal);
      page.emit("connection");
      if ((await isLive(channel, String(ref))) === false)
        page.client.lose(page.client.connection === "live" ? "gone" : "absent");
      else if (first) await greet(page, signal);
    },
    () => page.client.lose("absent"),
  );
}

interface Message {
  header?: { session?: string };
}
interface Signal {
  connect?(slot: (sender: unknown, message: Message) => void): unknown;
  disconnect?(slot: (sender: unknown, message: Message) => void): unknown;
}

/** A kernel that another tab restarts tells this one nothing, but all it says from then on carries another session. */
function followRestarts(channel: Model, restarted: () => void, signal?: AbortSignal): void {
  const said = (channel.widget_manager?.kernel as { iopubMessage?: Signal } | null | undefined)?.iopubMessage;
  if (!said?.connect || signal?.aborted) return;
  let known: string | undefined;
  const slot = (_: unknown, { header }: Message): void => {
    if (!header?.session) return;
    if (known !== undefined && known !== header.session) restarted();
    known = header.session;
  };
  said.connect(slot);
  signal?.addEventListener("abort", () => said.disconnect?.(slot), { once: true });
}

async function greet(page: Page, signal?: AbortSignal): Promise<void> {
  page.subshell = undefined;
  const greeting = hello(page.client, signal);
  void page.fill();
  page.subshell = await greeting;
  if (!signal?.aborted) page.emit("connection");
}

/** Something happened to the comm: is it alive? */
async function look(page: Page, channel: Model, ref: string, signal?: AbortSignal): Promise<void> {
  const live = await isLive(channel, ref);
  if (live === false) page.client.lose("gone");
  else if (!page.alive) {
    page.client.reopen();
    await greet(page, signal);
  }
}

/** ipywidgets keeps it on the model itself, which hosts hide behind a proxy; undefined where it cannot be known. */
async function isLive(channel: Model, ref: string): Promise<boolean | undefined> {
  try {
    const model = await channel.widget_manager?.get_model?.(ref.replace(/^anywidget:/, ""));
    const live = (model as { comm_live?: unknown } | undefined)?.comm_live;
    return typeof live === "boolean" ? live : undefined;
  } catch {
    return undefined;
  }
}
