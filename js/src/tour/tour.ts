/**
 * A guided tour of the page: a card goes from place to place and never covers the page as a whole, so that one can try what it says.
 * On a first visit it is offered in one line; later the "?" in the header opens it. Where nothing can be remembered nothing is offered,
 * since it would be offered again and again.
 */
import { t } from "../language/words";
import { h, say } from "../parts/dom";
import { icon } from "../parts/icons";
import { remember, remembered } from "../base/remembered";
import { uniqueId, type View } from "../parts/view";
import { placed } from "./placing";
import { stops } from "./steps";

export interface Tour {
  /** "?", for the header. */
  button: HTMLButtonElement;
  /** The line of a first visit. */
  offer: HTMLElement;
}

export function tour(view: View): Tour {
  const { page, root, signal, left } = view;
  const button = h(
    "button.vf-button.vf-square.vf-help",
    {
      type: "button",
      title: t("Tour of this page"),
      "aria-label": t("Tour of this page"),
      "aria-expanded": "false",
      "aria-haspopup": "dialog",
      onclick: () => (card.element.isConnected ? end() : begin()),
    },
    "?",
  );
  const words = h("span");
  const offer = h(
    "p.vf-offer",
    { hidden: true },
    words,
    h("button.vf-button.vf-small", { type: "button", onclick: () => begin() }, t("Start")),
    h("button.vf-button.vf-small", { type: "button", onclick: () => decline() }, t("Not now")),
  );
  const card = tourCard(go, end);
  let lit: HTMLElement | null = null;
  const watcher =
    typeof ResizeObserver === "undefined" ? null : new ResizeObserver(() => card.element.isConnected && stand());

  const holds = (): boolean => card.element.contains((root.getRootNode() as Document | ShadowRoot).activeElement);

  function mayOffer(): boolean {
    const known = remembered(root.ownerDocument.defaultView);
    return page.options.tour && page.alive && known !== null && known.tour === undefined && left.tour === undefined;
  }

  function draw(): void {
    const offered = mayOffer();
    if (offered) say(words, t("New here? A tour in {count} steps.", { count: stops(root).length }));
    offer.hidden = !offered;
  }

  function decline(): void {
    remember(root.ownerDocument.defaultView, { tour: "declined" });
    offer.hidden = true;
    button.focus();
  }

  function begin(): void {
    remember(root.ownerDocument.defaultView, { tour: "seen" });
    offer.hidden = true;
    open(0);
    card.next.focus({ preventScroll: true });
  }

  function open(step: number): void {
    root.append(card.element);
    button.setAttribute("aria-expanded", "true");
    watcher?.observe(root);
    go(step);
  }

  function end(): void {
    const held = holds();
    watcher?.disconnect();
    lit?.removeAttribute("data-toured");
    lit = null;
    left.tour = undefined;
    card.element.remove();
    button.setAttribute("aria-expanded", "false");
    if (held) button.focus();
  }

  function go(step: number): void {
    const all = stops(root);
    if (step >= all.length) return end();
    const stop = all[Math.max(0, step)];
    if (!stop) return end();
    left.tour = { step: all.indexOf(stop), held: false };
    lit?.removeAttribute("data-toured");
    lit = stop.place;
    lit.setAttribute("data-toured", "");
    card.show(stop.title, stop.text, all.indexOf(stop), all.length);
    stand();
    lit.scrollIntoView?.({ block: "nearest" });
    card.element.scrollIntoView?.({ block: "nearest" });
  }

  /** Beside its place, also after that has moved. */
  function stand(): void {
    if (!lit) return;
    const [page, place] = [root.getBoundingClientRect(), lit.getBoundingClientRect()];
    const box = { left: place.left - page.left, top: place.top - page.top, width: place.width, height: place.height };
    const { left: x, top: y } = placed(
      box,
      { width: card.element.offsetWidth, height: card.element.offsetHeight },
      page,
    );
    card.element.style.left = `${x}px`;
    card.element.style.top = `${y}px`;
  }

  page.on(["connection", "options"], draw, signal);
  signal.addEventListener("abort", () => {
    watcher?.disconnect();
    if (left.tour) left.tour.held = holds();
  });
  // After the whole page is there: its places are counted, and a tour that was on its way goes on after the page is drawn anew.
  queueMicrotask(() => {
    if (signal.aborted) return;
    draw();
    if (!left.tour) return;
    const { step, held } = left.tour;
    open(step);
    if (held) card.next.focus({ preventScroll: true });
  });
  return { button, offer };
}

interface Card {
  element: HTMLElement;
  next: HTMLButtonElement;
  show(title: string, text: string, at: number, count: number): void;
}

function tourCard(go: (step: number) => void, end: () => void): Card {
  const [name, about] = [uniqueId("tour"), uniqueId("tour")];
  let [now, of] = [0, 1];
  const title = h("b", { id: name });
  const text = h("p", { id: about });
  const count = h("span.vf-muted");
  const back = h("button.vf-button.vf-small", { type: "button", onclick: () => go(now - 1) }, t("Back"));
  const next = h("button.vf-button.vf-small.vf-primary", { type: "button", onclick: () => go(now + 1) });
  const close = h(
    "button.vf-iconbutton",
    { type: "button", title: t("End the tour (Esc)"), "aria-label": t("End the tour"), onclick: () => end() },
    icon("close"),
  );
  const element = h(
    "aside.vf-tour",
    { role: "dialog", "aria-labelledby": name, "aria-describedby": about, "data-lm-suppress-shortcuts": "true" },
    h("div.vf-tour-head", {}, title, close),
    h("div", { "aria-live": "polite" }, text),
    h("div.vf-tour-foot", {}, count, h("span.vf-space"), back, next),
  );
  element.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") end();
    else if (way === undefined) return;
    else if (now + way < of) go(now + way);
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    element,
    next,
    show(words, sentence, at, all) {
      [now, of] = [at, all];
      say(title, words);
      say(text, sentence);
      say(count, t("{step} of {count}", { step: at + 1, count: all }));
      say(next, at + 1 < all ? t("Next") : t("Done"));
      // The first step has no way back; whoever stands on the button goes on from the other.
      const held = (element.getRootNode() as Document | ShadowRoot).activeElement === back;
      back.disabled = at === 0;
      if (held && back.disabled) next.focus();
    },
  };
}
