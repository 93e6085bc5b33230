// Owns making one file of what pages of an Electron app import: a sandboxed page has no import map and no Node, and its CSP no eval. dist/electron/renderer.js,
// as tsc has made it, becomes the file that has all of its parts in it. scripts/build-ts.mjs runs this.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "vite";
import { distDir, root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";

/** What a page has no use for, and would stumble over. */
const define = {
  "process.emitWarning": "console.warn",
  "process.getBuiltinModule": "undefined",
  "process.cwd": "String",
};
/** lib/options makes paths of what an engine is opened with, which pages do not name. */
const withoutPaths = {
  name: "without-paths",
  enforce: "pre",
  resolveId: (id) => (id === "node:path" || id === "node:url" ? "\0no-paths" : undefined),
  load: (id) => (id === "\0no-paths" ? "export const resolve = undefined, fileURLToPath = undefined;" : undefined),
};
const mayNotHave = [/\bprocess\./, /\bnode:/, /\beval\(/, /\bnew Function\b/, /\brequire\(/, /^import\b/m];

await main(async () => {
  const file = join(distDir, "electron", "renderer.js");
  const turns = join(distDir, "electron", "turns.js");
  const inject = { setImmediate: [turns, "setImmediate"], clearImmediate: [turns, "clearImmediate"] };
  await build({
    root,
    configFile: false,
    publicDir: false,
    logLevel: "warn",
    define,
    plugins: [withoutPaths],
    build: {
      outDir: join(distDir, "electron"),
      emptyOutDir: false,
      minify: false,
      sourcemap: false,
      target: "es2022",
      rolldownOptions: { transform: { inject } },
      lib: { entry: file, formats: ["es"], fileName: () => "renderer.js" },
    },
  });
  rmSync(`${file}.map`, { force: true }); // that of the file before
  const made = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  const found = mayNotHave.find((pattern) => pattern.test(made));
  if (found) throw new SetupError(`dist/electron/renderer.js has ${found}, which a sandboxed page cannot run.`);
});
