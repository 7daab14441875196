/** What every entry does: finds the page of its widget, makes the root element, follows theme and signal, opens the channel. */
import { t } from "../language/words";
import type { Page } from "../model/page";
import { openPage, pageOf } from "../model/pages";
import type { RenderProps, Widget } from "../host";
import { banner } from "./banner";
import { append, h, type Child } from "./dom";
import { followTheme } from "./theme";
import { makeView, type View } from "./view";

/** A widget whose view is built by `build`; built anew if the tree is replaced. */
export function widget(name: string, ready: (page: Page) => boolean, build: (view: View) => Child[]): Widget {
  return {
    initialize: (props) => void openPage(props),
    render: (props) => render(props, name, ready, build),
  };
}

function render({ model, el, signal, host }: RenderProps, name: string, ready: (page: Page) => boolean, build: (view: View) => Child[]): () => void {
  const ending = new AbortController();
  signal?.addEventListener("abort", () => ending.abort(), { once: true });
  const page = pageOf(model);
  const root = h("div.vf", { "data-widget": name });
  el.append(root);
  const hides = stepAside(page.options.picture);
  if (hides) el.append(hides);
  let inner: AbortController | null = null;
  const draw = (): void => {
    inner?.abort();
    inner = new AbortController();
    root.replaceChildren();
    const view = makeView(page, root, inner.signal);
    const retheme = followTheme(root, () => page.options, view.themeChanged, inner.signal);
    page.on(["options"], retheme, inner.signal);
    append(root, ready(page) ? [banner(view), ...build(view)] : [h("p.vf-muted", {}, t("Nothing to show yet."))]);
    if (!view.shelf.parentNode) root.append(view.shelf);
  };
  draw();
  page.on(["tree"], draw, ending.signal);
  page.connect(host, ending.signal);
  ending.signal.addEventListener("abort", () => {
    inner?.abort();
    root.remove();
    hides?.remove();
  });
  return () => ending.abort();
}

/** Hides the static picture that Python put beside this view, as long as the view lives; without a kernel it is what remains. */
function stepAside(picture: string): HTMLElement | null {
  return picture ? h("style", {}, `.vf-static-${picture} { display: none; }`) : null;
}
