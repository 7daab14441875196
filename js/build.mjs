// Bundles each entry of src/ into ../vlmfreeze_widgets/static: one self-contained file per widget, with a banner that carries
// the hash of the sources (the same as source_hash.py computes). --check fails when the built files are stale, --watch rebuilds.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "vlmfreeze_widgets", "static");
const entries = ["workbench", "freezemap", "monitor", "report", "commands"];
const limit = 300_000; // bytes: a page with several widgets must be ready within anywidget's two seconds

function walk(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((e) =>
    e.isDirectory() ? walk(join(folder, e.name)) : [join(folder, e.name)],
  );
}

function sourceHash() {
  const files = [...walk(join(here, "src")), join(here, "package-lock.json"), join(here, "build.mjs")]
    .map((file) => [relative(here, file).split(sep).join("/"), file])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const digest = createHash("sha256");
  for (const [name, file] of files)
    digest
      .update(name + "\0")
      .update(readFileSync(file))
      .update("\0");
  return digest.digest("hex");
}

function options() {
  const banner = `/* vlmfreeze source-hash: ${sourceHash()} */`;
  return {
    entryPoints: entries
      .flatMap((name) => [`src/${name}.ts`, `src/${name}.css`])
      .filter((file) => existsSync(join(here, file))),
    absWorkingDir: here,
    outdir: out,
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "none",
    charset: "utf8",
    banner: { js: banner, css: banner },
    logLevel: "warning",
  };
}

if (process.argv.includes("--check")) {
  // Built again in memory and compared byte for byte: a bundle edited by hand is as wrong as an old one.
  const { outputFiles } = await esbuild.build({ ...options(), write: false });
  const stale = outputFiles.filter(
    (file) => !existsSync(file.path) || !readFileSync(file.path).equals(Buffer.from(file.contents)),
  );
  if (stale.length) {
    console.error(`Stale: ${stale.map((file) => relative(here, file.path)).join(", ")}. Run make build and commit.`);
    process.exit(1);
  }
  console.log("The built front end is fresh.");
} else if (process.argv.includes("--watch")) {
  const context = await esbuild.context(options());
  await context.watch();
  console.log("Watching src/ ...");
} else {
  mkdirSync(out, { recursive: true });
  await esbuild.build(options());
  for (const file of readdirSync(out).filter((name) => /\.(js|css)$/.test(name))) {
    const { size } = statSync(join(out, file));
    console.log(`${file.padEnd(16)} ${(size / 1000).toFixed(1)} kB`);
    if (size > limit) {
      console.error(`${file} is larger than ${limit / 1000} kB.`);
      process.exitCode = 1;
    }
  }
}
