/** Which language is spoken: what was chosen on this page, else what the notebook asks for, else what was chosen on another visit, else
 * the host's own. All widgets of one module speak one language, so a choice draws all of them anew. */
import type { Options } from "../base/host";
import { Topics } from "../base/topics";
import { remember, remembered } from "../base/remembered";
import { speak, spoken, type Language } from "./words";

export const languages = new Topics<"language">();

let chosen: Language | null = null;

/** The language of a host's page: JupyterLab writes the one of its menus on <html>; elsewhere the browser's. */
export function hostLanguage(doc: Document): Language {
  return /^zh\b|^zh_/i.test(doc.documentElement.lang || (doc.defaultView?.navigator.language ?? "")) ? "zh" : "en";
}

function wanted({ language }: Options, doc: Document): Language {
  if (chosen) return chosen;
  if (language !== "auto") return language;
  const before = remembered(doc.defaultView)?.language;
  return before === "zh" || before === "en" ? before : hostLanguage(doc);
}

/** Speaks what a widget's options and its host ask for, and tells the other widgets when that is another language. */
export function settle(options: Options, doc: Document): void {
  const language = wanted(options, doc);
  if (language === spoken()) return;
  speak(language);
  languages.emit("language");
}

/** A person chooses, for this page and the next visits. */
export function choose(language: Language, doc: Document): void {
  chosen = language;
  remember(doc.defaultView, { language });
  if (language === spoken()) return;
  speak(language);
  languages.emit("language");
}

/** As when the page was opened; for tests, whose page is opened many times. */
export function forgetChoice(): void {
  chosen = null;
  speak("en");
}
