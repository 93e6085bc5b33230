#!/usr/bin/env node
// Owns answering to llama-server's flags with `zse serve` on the demo model, so that llama.cpp's own server tests can be run against it
// (docs/COMPATIBILITY.md says how). Flags that zse serve has in another name are translated, all others are left out.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = new URL("..", import.meta.url);
/** Names of models that the tests ask for; zse serve answers to no other. */
const ASKED_FOR = ["gpt-3.5-turbo-instruct", "gpt-3.5-turbo", "gpt-4.1", "davinci-002", "codellama70b", "test"];
const LOCAL = ["localhost", "127.0.0.1", "[::1]"].flatMap((host) => [`http://${host}`, `http://${host}:*`]);

const given = new Map();
const flags = process.argv.slice(2);
for (const [index, flag] of flags.entries()) {
  if (!flag.startsWith("-")) continue;
  const value = flags[index + 1];
  if (value !== undefined && !/^--?[a-z]/.test(value)) given.set(flag, value);
}

const streams = Number(given.get("--parallel") ?? 1);
const names = new Set([...(given.get("--alias") ?? "demo").split(","), ...ASKED_FOR]);
const origins = given.get("--cors-origins") ?? "*";
const args = ["--port", given.get("--port") ?? "8080", "--host", (given.get("--host") ?? "127.0.0.1").split(",")[0]];
args.push("--max-streams", String(streams), "--threads", "1", "--log-level", "warn");
// Theirs is of all slots together.
if (given.has("--ctx-size")) args.push("--context-size", String(Math.floor(Number(given.get("--ctx-size")) / streams)));
if (given.has("--api-key")) args.push("--api-key", given.get("--api-key"));
for (const name of names) args.push("--name", name);
for (const origin of origins === "localhost" ? LOCAL : origins.split(",")) args.push("--cors", origin);

const file = (path) => fileURLToPath(new URL(path, ROOT));
const server = spawn(process.execPath, [file("dist/cli/main.js"), "serve", file("models/demo/demo.zse"), ...args], { stdio: "inherit" });
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => server.kill(signal));
server.on("exit", (code) => process.exit(code ?? 1));
