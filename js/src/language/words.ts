/** The page's own words in the reader's language. English is the key, so a text that no table has stays English. Texts that Python writes
 * (errors, warnings, sentences on a strategy) are translated there; names from data (paths, models, files) nowhere. */
import { CHINESE } from "./chinese";

export type Language = "en" | "zh";

type Values = Readonly<Record<string, string | number>>;

let language: Language = "en";
let table: Readonly<Record<string, string>> = {};

/** From now on; what is drawn already is drawn anew by whoever calls this. */
export function speak(wanted: Language): void {
  language = wanted;
  table = wanted === "zh" ? CHINESE : {};
}

/** What is spoken now. */
export function spoken(): Language {
  return language;
}

/** `t("{done} of {steps} steps", { done, steps })`. The first argument is always a literal: a test gathers them. */
export function t(text: string, values: Values = {}): string {
  return (table[text] ?? text).replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

/** `tn(2, "{n} step", "{n} steps")`: one of them or several, both literals; `n` is a value like the others. */
export function tn(n: number, one: string, several: string, values: Values = {}): string {
  return t(n === 1 ? one : several, { n, ...values });
}
