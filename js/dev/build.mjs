// Builds the bare page into dev/dist (not committed) and serves it: node dev/build.mjs [--serve]
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const options = {
  entryPoints: [`${here}/main.ts`, `${here}/../src/workbench.css`],
  outdir: `${here}/dist`,
  outbase: undefined,
  entryNames: "[name]",
  bundle: true,
  format: "esm",
  target: "es2022",
  sourcemap: true,
};
if (process.argv.includes("--serve")) {
  const context = await esbuild.context(options);
  await context.watch();
  const { port } = await context.serve({ servedir: here, host: "127.0.0.1" });
  console.log(`http://127.0.0.1:${port}/`);
} else {
  await esbuild.build(options);
}
