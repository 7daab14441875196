/** Why the page does not act: no kernel, a restarted one, or one that has not answered for a while. */
import { t } from "../language/words";
import { h, say } from "./dom";
import type { View } from "./view";

const TEXTS = {
  gone: () => t("The kernel was restarted: run the cell again."),
  absent: () => t("No kernel is connected: this is how the page was saved. Run the cell again to work with it."),
};

export function banner(view: View): HTMLElement {
  const { page, root } = view;
  const element = h("p.vf-banner", { role: "status", hidden: true });
  const draw = (): void => {
    const { connection, overdue } = page.client;
    const dead = connection === "gone" || connection === "absent";
    root.dataset.connection = connection;
    say(element, dead ? TEXTS[connection]() : overdue ? t("Python has not answered yet.") : "");
    element.hidden = !element.textContent;
  };
  draw();
  page.on(["connection"], draw, view.signal);
  return element;
}
