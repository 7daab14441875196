/** What every entry does: finds the page of its widget, makes the root element, follows theme and signal, opens the channel. */
import { spoken, t } from "../language/words";
import type { Page } from "../model/page";
import { openPage, pageOf } from "../model/pages";
import { isInMarimo, type RenderProps, type Widget } from "../base/host";
import { languages, settle } from "../language/choice";
import { banner } from "./banner";
import { append, h, type Child } from "./dom";
import { keep } from "./keep";
import { watchPresses } from "./presses";
import { followTheme } from "./theme";
import { makeView, type View } from "./view";

const LANGUAGE_TAGS = { en: "en", zh: "zh-Hans" };

/** A widget whose view is built by `build`; built anew if the tree is replaced. */
export function widget(name: string, ready: (page: Page) => boolean, build: (view: View) => Child[]): Widget {
  return {
    initialize: (props) => void openPage(props),
    render: (props) => render(props, name, ready, build),
  };
}

function render(
  { model, el, signal, host }: RenderProps,
  name: string,
  ready: (page: Page) => boolean,
  build: (view: View) => Child[],
): () => void {
  const ending = new AbortController();
  signal?.addEventListener("abort", () => ending.abort(), { once: true });
  const page = pageOf(model);
  const root = h("div.vf", { "data-widget": name });
  el.append(root);
  watchPresses(root, ending.signal);
  const hides = stepAside(page.options.picture);
  if (hides) el.append(hides);
  let inner: AbortController | null = null;
  const left: View["left"] = {};
  const draw = (): void => {
    const restore = keep(root);
    root.lang = LANGUAGE_TAGS[spoken()];
    inner?.abort();
    inner = new AbortController();
    root.replaceChildren();
    const view = makeView(page, root, inner.signal, left);
    const retheme = followTheme(root, () => page.options, view.themeChanged, inner.signal);
    page.on(["options"], retheme, inner.signal);
    append(root, ready(page) ? [banner(view), ...build(view)] : [h("p.vf-muted", {}, t("Nothing to show yet."))]);
    if (!view.shelf.parentNode) root.append(view.shelf);
    restore();
  };
  // Python's own texts follow the page.
  let told: string | null = null;
  const tell = (): void => {
    const { words } = page.options;
    if (!page.alive || words === null || words === spoken() || told === spoken()) return;
    told = spoken();
    void page.request("language", { language: told });
  };
  settle(page.options, root.ownerDocument);
  draw();
  languages.on(["language"], () => (draw(), tell()), ending.signal);
  page.on(["options"], () => settle(page.options, root.ownerDocument), ending.signal);
  page.on(["connection"], tell, ending.signal);
  page.on(["tree"], draw, ending.signal);
  if (isInMarimo(el)) note(page, ending.signal);
  const leave = page.show();
  ending.signal.addEventListener("abort", leave, { once: true }); // before the channel goes, which comes later
  page.connect(host, ending.signal);
  ending.signal.addEventListener("abort", () => {
    inner?.abort();
    root.remove();
    hides?.remove();
  });
  return () => ending.abort();
}

/** Tells marimo that the strategy or the phase is another now, so that cells which read `mo.ui.anywidget(w).value` run again. */
function note(page: Page, signal: AbortSignal): void {
  const now = (): string => {
    const { rev } = (page.model.get("plan_state") ?? {}) as { rev?: number };
    return JSON.stringify({ rev: rev ?? 0, burst: page.run?.burst ?? 0, phase: page.run?.phase ?? "" });
  };
  let noted = now();
  page.on(
    ["plan", "run"],
    () => {
      if (now() === noted || !page.model.set || !page.model.save_changes) return;
      noted = now();
      page.model.set("noted", JSON.parse(noted));
      // "noted" is no state of the session: marimo alone reads it, and it hears of a change only by what a page saves.
      // eslint-disable-next-line no-restricted-syntax -- the one value that a page has to save itself
      page.model.save_changes();
    },
    signal,
  );
}

/** Hides the static picture that Python put beside this view, as long as the view lives; without a kernel it is what remains. */
function stepAside(picture: string): HTMLElement | null {
  return picture ? h("style", {}, `.vf-static-${picture} { display: none; }`) : null;
}
