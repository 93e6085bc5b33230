// Owns making the page of `zse serve`: lib/ui and the libraries that it stands on become dist/ui, files that need nothing from elsewhere. The server reads them
// when it starts. scripts/build-ts.mjs runs this. NOTICE names the libraries.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { distDir, root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";

const page = join(root, "lib", "ui");
/** Packed, everything together: a page that a phone opens at once. */
const MOST_BYTES = 100_000;
/** What the page's policy would not let run, or load. */
const mayNotHave = [
  [/\beval\(|\bnew Function\b/, "code that is made at run time"],
  [/<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\sstyle=/, "code or styles within the page"],
  [/\b(?:src|href)="(?!\.\/)/, "an address that is not below the page"],
  [/@import|url\((?!data:)/, "a style that loads something"],
];

/** Runs before the page is drawn, so it is a script of its own, and no module. */
const themeFirst = {
  name: "theme-first",
  buildStart() {
    this.emitFile({ type: "asset", name: "theme.js", source: readFileSync(join(page, "theme.mjs")) });
  },
  transformIndexHtml: {
    order: "post",
    handler(_, { bundle }) {
      const [file] = Object.keys(bundle).filter((name) => /\/theme-[^/]+\.js$/.test(name));
      return [{ tag: "script", attrs: { src: `./${file}` }, injectTo: "head" }];
    },
  },
};

await main(async () => {
  const outDir = join(distDir, "ui");
  rmSync(outDir, { recursive: true, force: true });
  await build({
    root: page,
    base: "./",
    configFile: false,
    publicDir: false,
    logLevel: "warn",
    plugins: [themeFirst],
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2022",
      sourcemap: false,
      assetsInlineLimit: 0, // the policy has no data: addresses
      modulePreload: false,
    },
  });
  const assets = readdirSync(join(outDir, "assets")).map((name) => join("assets", name));
  let bytes = 0;
  for (const name of ["index.html", ...assets]) {
    const file = readFileSync(join(outDir, name));
    bytes += gzipSync(file).length;
    const text = file.toString();
    const rules = name.endsWith(".html") ? mayNotHave.slice(1, 3) : name.endsWith(".css") ? mayNotHave.slice(3) : mayNotHave.slice(0, 1);
    const found = rules.find(([pattern]) => pattern.test(text));
    if (found) throw new SetupError(`dist/ui/${name} has ${found[1]}, which the page's policy forbids.`);
  }
  if (bytes > MOST_BYTES) throw new SetupError(`dist/ui has ${bytes} bytes packed; ${MOST_BYTES} are the most.`);
});
