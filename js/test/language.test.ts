/** The page's words: each is said in Chinese, none is left unspoken, and no table has an entry that nobody says. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { CHINESE } from "../src/language/chinese";
import { speak, t, tn } from "../src/language/words";
import { gathered, parse, sources, unspoken, type Found } from "./page_texts";

const LANGUAGE = join(dirname(fileURLToPath(import.meta.url)), "..", "src", "language");

/** Read by machines, or the same in every language. */
const NOT_SPOKEN = new Set([
  "dtype", // torch's word
  "lr", // as people write it in every language
  "lr ",
  "English", // each language is named in itself
  "中文",
  "noopener noreferrer", // of a link
  "finetuning_type: lora\nlora_target: all\n\n", // an example of a trainer's settings
  "  --lora_enable True --mm_projector_lr 2e-5 …\n",
  "q_proj, layers.3", // an example of names
  "system-ui, sans-serif", // CSS
  "input:not([type=file], [type=checkbox], [type=radio]), textarea, select",
  "button, input, textarea, select, summary, [tabindex], a[href]",
  ".vf-static-",
  " { display: none; }",
]);

const placeholders = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? "").sort();
const lines = (found: readonly Found[]): string[] =>
  found.map(({ file, line, text }) => `${file}:${line} ${JSON.stringify(text)}`);
const all = sources();
const said = all.map(gathered);
const texts = new Set(said.flatMap((found) => found.texts.map(({ text }) => text)));

afterEach(() => speak("en"));

describe("the words of the page", () => {
  test("are literals wherever t() is called", () => {
    // In words.ts itself tn() hands on what it was given.
    expect(lines(said.flatMap((found) => found.odd)).filter((line) => !line.startsWith("language/words.ts"))).toEqual(
      [],
    );
    expect(texts.size).toBeGreaterThan(300);
  });

  test("all have a Chinese form", () => {
    expect([...texts].filter((text) => !(text in CHINESE))).toEqual([]);
  });

  test("have the same placeholders in Chinese", () => {
    const differ = Object.entries(CHINESE).filter(
      ([english, chinese]) => placeholders(english).join() !== placeholders(chinese).join(),
    );
    expect(differ).toEqual([]);
  });

  test("have no form in a table that nobody says", () => {
    expect(Object.keys(CHINESE).filter((text) => !texts.has(text))).toEqual([]);
  });

  test("have one Chinese form, whichever table says them, and each table is read", async () => {
    const tables = readdirSync(LANGUAGE).filter((name) => name.startsWith("chinese_"));
    const entries = (
      await Promise.all(
        tables.map(async (name) =>
          Object.values(
            (await import(`../src/language/${name.slice(0, -3)}.ts`)) as Record<string, Record<string, string>>,
          ),
        ),
      )
    )
      .flat()
      .flatMap(Object.entries);
    expect(entries.length).toBeGreaterThan(300);
    expect(entries.filter(([english, chinese]) => CHINESE[english] !== chinese)).toEqual([]);
  });

  test("never stand on the page without t()", () => {
    expect(lines(all.flatMap(unspoken).filter(({ text }) => !NOT_SPOKEN.has(text)))).toEqual([]);
  });
});

describe("the search for unspoken words", () => {
  const found = (code: string): string[] => unspoken(parse("planted.ts", code)).map(({ text }) => text);

  // Negative controls: each of these would be English on a Chinese page.
  test.each([
    ['h("b", {}, "Run")', "Run"],
    ['h("b", {}, busy ? t("Stop") : "Start again")', "Start again"],
    ['h("b", {}, `Saved ${path}`)', "Saved "],
    ['h("b", {}, ...["one", t("two")])', "one"],
    ['h("button", { title: "Undo" })', "Undo"],
    ['h("input", { "aria-label": on ? "On" : t("Off") })', "On"],
    ['say(line, why || "Nothing")', "Nothing"],
    ["view.announce(`${count} selected`)", " selected"],
    ['element.textContent = "Copied"', "Copied"],
    ['context.fillText("loss", 0, 0)', "loss"],
    ["const where = `${first} and ${count}`;", " and "],
    ['const WORDS = { ok: "trains as wanted" };', "trains as wanted"],
  ])("finds %s", (code, text) => {
    expect(found(code)).toEqual([text]);
  });

  test.each([
    'h("b.vf-name", { role: "status" }, t("Run"), " · ")',
    'h("b", {}, label(item, "name"))',
    'throw new Error("no command model found")',
    'root.querySelector("section .vf-map canvas")',
  ])("leaves %s alone", (code) => {
    expect(found(code)).toEqual([]);
  });
});

describe("t", () => {
  test("says a text in the language that is spoken, with its values", () => {
    expect(t("step {step}", { step: 7 })).toBe("step 7");
    speak("zh");
    expect(t("step {step}", { step: 7 })).toBe("第 7 步");
  });

  test("leaves a text that no table has in English", () => {
    speak("zh");
    expect(t("{count} quokkas", { count: 3 })).toBe("3 quokkas");
  });

  test("puts a value in as it is, braces and all", () => {
    expect(t("below {folder}", { folder: "{step} $& \\1" })).toBe("below {step} $& \\1");
  });

  test("puts a space only between Chinese and Latin letters or numbers", () => {
    speak("zh");
    expect(t("Tuning of {name}", { name: "视觉塔" })).toBe("视觉塔的训练方式");
    expect(t("Tuning of {name}", { name: "head" })).toBe("head 的训练方式");
    expect(t("{n} of {all} {tuning}", { n: 2, all: 8, tuning: "冻结" })).toBe("2 / 8 冻结");
    expect(t("Tuning of {name}", { name: "我的 模型" })).toBe("我的 模型的训练方式");
  });

  test("tells one from several", () => {
    expect([0, 1, 2].map((n) => tn(n, "{n} step", "{n} steps"))).toEqual(["0 steps", "1 step", "2 steps"]);
  });
});
