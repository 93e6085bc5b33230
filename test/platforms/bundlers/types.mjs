// The types, as they reach a project without @types/node and with it: ES modules and CommonJS, every resolution, compilers from 5.4 on. Then
// publint and attw, whose findings about a package of ES modules alone are known.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../../scripts/paths.mjs";

const compilers = ["5.4", "5.9", "6", "7"];
const modes = { node16: "node16", nodenext: "nodenext", esnext: "bundler" };

const modules = `
import { type Reply, ZSE, ZSEError } from "zstream";
import { createHandler, nodeHandler, toResponse } from "zstream/sse";
const model = new ZSE();
export async function reply(): Promise<Reply> {
  for await (const text of model.chatStream([{ role: "user", content: "x" }])) console.log(text satisfies string, ZSEError);
  console.log(createHandler(model), nodeHandler(model), toResponse);
  return model.chat([{ role: "user", content: "x" }]);
}
`;
/** What every mode takes. */
const commonjs = `
import type { Reply, ZSE } from "zstream" with { "resolution-mode": "import" };
export async function reply(): Promise<Reply> {
  const zstream = await import("zstream");
  const model: ZSE = new zstream.ZSE();
  console.log((await import("zstream/sse")).nodeHandler(model));
  return model.chat([{ role: "user", content: "x" }]);
}
`;
/** What nodenext takes since 5.8, and Node since 20.19. */
const required = `
import { type Reply, ZSE } from "zstream";
import { nodeHandler } from "zstream/sse";
const model = new ZSE();
console.log(nodeHandler(model));
export const reply: Promise<Reply> = model.chat([{ role: "user", content: "x" }]);
`;
const withNode = `
import { createServer } from "node:http";
import { createSecureServer } from "node:http2";
import { ZSE } from "zstream";
import { nodeHandler } from "zstream/sse";
export const servers = [createServer(nodeHandler(new ZSE())), createSecureServer({}, nodeHandler(new ZSE()))];
`;

export async function types(application) {
  application.write("esm.mts", modules);
  application.write("cjs.cts", commonjs);
  application.write("required.cts", required);
  application.write("node.mts", withNode);
  for (const version of compilers) {
    for (const [module, moduleResolution] of Object.entries(modes)) {
      const later = module === "nodenext" && version !== "5.4";
      await compile(application, version, { module, moduleResolution, types: [] }, [
        "esm.mts",
        "cjs.cts",
        ...(later ? ["required.cts"] : []),
      ]);
    }
  }
  // As TypeScript compiles to CommonJS by itself; 7 knows it no longer.
  await compile(application, "5.9", { module: "commonjs", moduleResolution: "node10", types: [] }, ["required.cts"]);
  const typesOfNode = application.tool("@types/node", "@types/node", ["@types/node@20"]);
  await compile(application, "7", { module: "nodenext", lib: ["es2023"], typeRoots: [`${typesOfNode}/..`], types: ["node"] }, ["node.mts"]);

  await application.node([
    join(root, "node_modules", "publint", "src", "cli.js"),
    "run",
    "--strict",
    "--pack",
    "false",
    "node_modules/zstream",
  ]);
  // From CommonJS it is "ESM (dynamic import only)" for attw, which does not know that Node's require() takes ES modules.
  const attw = application.tool("@arethetypeswrong/cli", "@arethetypeswrong/cli/dist/index.js");
  await application.node([attw, application.tarball, "--ignore-rules", "cjs-resolves-to-esm"]);
}

async function compile(application, version, options, files) {
  const compilerOptions = { noEmit: true, strict: true, skipLibCheck: false, target: "es2022", ...options };
  writeFileSync(application.path("tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  const tsc = application.tool(`ts${version}`, "typescript/bin/tsc", [`typescript@${version}`]);
  try {
    await application.node([tsc, "--project", "tsconfig.json", "--pretty", "false"]);
  } catch (error) {
    throw new Error(`TypeScript ${version}, ${JSON.stringify(options)}: ${error.message}`);
  }
}
