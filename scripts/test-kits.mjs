// Owns running LangChain's standard tests of chat models, which are in its repository alone: `npm run test:kits -- FOLDER` with
// internal/standard-tests/src of a checkout. They are copied beside the packages that they import, and removed afterwards.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.mjs";
import { main } from "./say.mjs";

await main(() => {
  const given = process.argv[2];
  if (given === undefined || !existsSync(join(given, "vitest.ts")))
    throw new Error("give the folder internal/standard-tests/src of a checkout of LangChain's repository: npm run test:kits -- FOLDER");
  const folder = join(root, "build", "langchain-kit");
  rmSync(folder, { recursive: true, force: true });
  cpSync(given, folder, { recursive: true });
  const env = { ...process.env, LANGCHAIN_KIT: folder };
  const { status } = spawnSync("npx", ["vitest", "run", "--project", "kits"], { cwd: root, env, stdio: "inherit" });
  rmSync(folder, { recursive: true, force: true });
  process.exitCode = status ?? 1;
});
