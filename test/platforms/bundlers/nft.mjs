// @vercel/nft, by which Next's standalone output, Vercel and Netlify choose the files to copy: what it finds must be enough.
import { cpSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export async function nft(application) {
  const tool = await import(pathToFileURL(application.tool("@vercel/nft", "@vercel/nft/out/index.js")));
  const { fileList } = await tool.default.nodeFileTrace([application.path("app.mjs")], { base: application.folder });
  const files = [...fileList].map((name) => name.replaceAll("\\", "/"));
  for (const wanted of [/^node_modules\/zstream\/models\/demo\/demo\.gguf$/, /^node_modules\/@zstream\/[^/]+\/prebuilds\/.*\.node$/]) {
    if (!files.some((name) => wanted.test(name))) throw new Error(`${wanted} is not among what is traced`);
  }
  for (const name of files) cpSync(application.path(name), application.path("standalone", name), { recursive: true });
  await application.alone(["standalone"], "done", { command: (at) => [process.execPath, join(at, "standalone", "app.mjs")] });
}
