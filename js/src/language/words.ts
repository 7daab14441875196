/** The page's own words in the reader's language. English is the key, so a text that no table has stays English. Texts that Python writes
 * (errors, warnings, sentences on a strategy) are translated there; names from data (paths, models, files) nowhere. */
import { CHINESE } from "./chinese";

export type Language = "en" | "zh";

let table: Readonly<Record<string, string>> = {};

/** From now on; what is drawn already is drawn anew by whoever calls this. */
export function speak(language: Language): void {
  table = language === "zh" ? CHINESE : {};
}

/** `t("{done} of {steps} steps", { done, steps })`. The first argument is always a literal: a test gathers them. */
export function t(text: string, values: Readonly<Record<string, string | number>> = {}): string {
  return (table[text] ?? text).replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}
