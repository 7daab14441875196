/** Reads the golden messages of tests/wire, which pytest reads too: `{"base64": ...}` becomes the DataView that a host gives. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export type Golden = Record<string, unknown>;

const WIRE = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "tests", "wire");

export function golden(name: string): Golden {
  return revive(JSON.parse(readFileSync(join(WIRE, `${name}.json`), "utf8"))) as Golden;
}

/** The buffer with an odd offset, as hosts may give it. */
export function buffer(base64: string): DataView {
  const bytes = Buffer.from(base64, "base64");
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  return new DataView(shifted.buffer, 3, bytes.length);
}

function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value !== "object" || value === null) return value;
  if ("base64" in value) return buffer(String(value.base64));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
}
