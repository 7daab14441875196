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
  const form = table[text];
  return form === undefined ? filled(text, values) : closed(form, values);
}

function filled(text: string, values: Values): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

const CHINESE_LETTER = /[\u3001-\u9fff\uff00-\uffef]/;

/** Chinese with a table's space only where it parts Chinese from Latin letters or numbers; values stay as they are. */
function closed(form: string, values: Values): string {
  const parts = form.split(/(\{\w+\})/).map((part, i) => (i % 2 ? filled(part, values) : part));
  const both = (a: string | undefined, b: string | undefined): boolean =>
    CHINESE_LETTER.test(a ?? "") && CHINESE_LETTER.test(b ?? "");
  return parts.reduce((said, part, i) => {
    if (i % 2) return said + part;
    const after = parts.slice(i + 1).find(Boolean)?.[0];
    let text = part;
    if (text.startsWith(" ") && both(said.at(-1), text[1] ?? after)) text = text.slice(1);
    if (text.endsWith(" ") && both(text.at(-2) ?? said.at(-1), after)) text = text.slice(0, -1);
    return said + text;
  }, "");
}

/** `tn(2, "{n} step", "{n} steps")`: one of them or several, both literals; `n` is a value like the others. */
export function tn(n: number, one: string, several: string, values: Values = {}): string {
  return t(n === 1 ? one : several, { n, ...values });
}
