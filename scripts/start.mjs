// Owns `npm start`: sets up a fresh clone, then streams a story from the embedded model. Words after `--` are the command line
// of zse instead: `npm start -- run "Count from 1 to 5"`.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { distDir, root } from "./paths.mjs";
import { main } from "./say.mjs";
import { setUp } from "./setup.mjs";

await main(async () => {
  await setUp();
  const words = process.argv.slice(2);
  const args = [join(distDir, "cli", "main.js"), ...(words.length > 0 ? words : ["run", "Tell me a story"])];
  const child = spawn(process.execPath, args, { cwd: process.env.INIT_CWD ?? root, stdio: "inherit" });
  // Ctrl-C reaches the whole process group: zse ends its reply in its own way, and its exit code is ours.
  process.on("SIGINT", () => {});
  child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
});
