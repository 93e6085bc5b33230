// Owns `npm run clean`: removes what the builds made. The fetched source of llama.cpp stays, --all removes it too.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.mjs";

const made = ["build", "dist", "prebuilds", "coverage"];
if (process.argv.includes("--all")) made.push("vendor/llama.cpp", "node_modules");
for (const name of made) rmSync(join(root, name), { recursive: true, force: true });
