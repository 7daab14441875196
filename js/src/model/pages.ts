/**
 * Which page belongs to which widget. `initialize` and each `render` get different proxies of one model, and a host may share
 * one module between widgets; the reference to the command model is what is the same everywhere.
 */
import type { InitializeProps, Model } from "../base/host";
import { Page } from "./page";

const pages = new Map<string, Page>();

function key(model: Model): string {
  const ref = model.get("commands");
  return typeof ref === "string" ? ref : "";
}

/** Makes the page of a widget; it goes with the model's signal. */
export function openPage({ model, signal }: InitializeProps): Page {
  const page = new Page(model, signal);
  const k = key(model);
  pages.set(k, page);
  signal?.addEventListener("abort", () => pages.get(k) === page && pages.delete(k), { once: true });
  return page;
}

/** The page of a widget, also where a host has not called `initialize`. */
export function pageOf(model: Model): Page {
  return pages.get(key(model)) ?? openPage({ model });
}
