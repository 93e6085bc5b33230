// Owns the rules of docs/ARCHITECTURE.md that a machine can check: who may include what, no cycles, who may hold a mutex.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { root } from "./paths.mjs";

/** Files of native/core (without extension) that may include llama.cpp's headers. */
const mayUseLlama = new Set([
  "model",
  "prompt",
  "sampler",
  "llama_decoder",
  "llama_slot_copy",
  "cache_key",
  "llama_log",
  "chat_templates",
  "devices",
  "gguf_image",
  "ggml_abort",
  "zse_model",
]);
/** Files of native/zse that may include the JSON library that comes with llama.cpp. */
const mayUseJson = new Set(["json"]);
/** Files of native/gguf that may include ggml's header, for its table of types and its dequantizers. */
const mayUseGgml = new Set(["header", "check", "rows", "tensor_types"]);
/**
 * Files of native/ that may hold a mutex: the two where threads meet, the engine's life cycle, the jobs of the cache's file thread,
 * and the loading of models, which llama.cpp can do only one at a time where it fits layers to a GPU.
 */
const mayLock = new Set(["inbox", "stream_queue", "prompt_workers", "engine", "prefix_files", "devices"]);

/** Rooms of native/ that are compiled into llama.cpp's library too: each may include itself and these. */
const belowLlama = new Map([
  ["base", []],
  ["tokenize", ["base"]],
]);

const problems = [];
const native = sources("native", /\.(cpp|h)$/);
const library = sources("lib", /\.ts$/);
const nativeGraph = new Map([...native].map(([path, text]) => [path, checkIncludes(path, text)]));
const libraryGraph = new Map([...library].map(([path, text]) => [path, importsOf(path, text)]));

for (const [path, text] of native) {
  const lock = /std::(\w*mutex)/.exec(text);
  if (lock && !mayLock.has(stem(path))) problems.push(`${path}: holds a std::${lock[1]}; only ${[...mayLock].join(", ")} may`);
}
findCycles(nativeGraph, "include");
findCycles(libraryGraph, "import");
for (const path of library.keys()) {
  if (!path.startsWith("lib/sse/")) continue;
  const way = wayTo(path, "lib/native.ts");
  if (way) problems.push(`${path}: lib/sse must load without the addon, but imports it by way of ${way.join(" → ")}`);
}

for (const problem of problems) console.log(problem);
console.log(
  problems.length === 0
    ? `architecture: ${native.size + library.size} files keep the rules`
    : `architecture: ${problems.length} broken rules`,
);
process.exitCode = problems.length === 0 ? 0 : 1;

/** Path from the root (with /) → text without comments. */
function sources(directory, pattern) {
  const files = existsSync(join(root, directory)) ? readdirSync(join(root, directory), { recursive: true }) : [];
  return new Map(
    files
      .map((name) => join(directory, String(name)).split(sep).join("/"))
      .filter((path) => pattern.test(path))
      .map((path) => [path, withoutComments(readFileSync(join(root, path), "utf8"))]),
  );
}

function withoutComments(text) {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

/** Checks each #include of a file and returns those of our own files. */
function checkIncludes(path, text) {
  const ours = [];
  for (const [, kind, name] of text.matchAll(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm)) {
    const own = [join(dirname(path), name), join("native", name)].map((file) => file.split(sep).join("/")).find((file) => native.has(file));
    const [room, other] = [roomOf(path), own && roomOf(own)];
    if (other && belowLlama.has(room) && room !== other && !belowLlama.get(room).includes(other)) {
      problems.push(`${path}: includes ${name}; native/${room} knows only ${["itself", ...belowLlama.get(room)].join(", ")}`);
    }
    if (own && kind === '"') ours.push(own);
    else if (/^(napi|node_api|js_native_api|uv|v8|node)(\.|-|\/)/.test(name)) {
      if (!path.startsWith("native/node/")) problems.push(`${path}: includes ${name}; only native/node knows of Node`);
      if (/^(v8|node)\./.test(name)) problems.push(`${path}: includes ${name}; only Node-API keeps its binary interface`);
    } else if (kind === '"' || /^(llama|ggml|gguf|nlohmann)/.test(name)) {
      // A quoted header that is not ours can only be llama.cpp's.
      const allowed =
        (path.startsWith("native/core/") && mayUseLlama.has(stem(path))) ||
        (path.startsWith("native/gguf/") && name === "ggml.h" && mayUseGgml.has(stem(path))) ||
        (path.startsWith("native/zse/") && name.startsWith("nlohmann/") && mayUseJson.has(stem(path)));
      if (!allowed) problems.push(`${path}: includes ${name} of llama.cpp; only ${[...mayUseLlama].join(", ")} of native/core may`);
    }
  }
  return ours;
}

/** native/tokenize/utf8.h → tokenize */
function roomOf(path) {
  return path.split("/")[1];
}

/** Files of lib/ that a file imports at run time; types leave no trace there. */
function importsOf(path, text) {
  const found = [];
  for (const [, clause, name] of text.matchAll(/(?:import|export)\s+([^;"']*?)(?:from\s+)?["'](\.[^"']+)["']/g)) {
    const named = /^\{([\s\S]*)\}$/.exec(clause.trim());
    const parts = named?.[1].split(",").filter((part) => part.trim() !== "");
    const onlyTypes = /^type\s/.test(clause) || parts?.every((part) => /^type\s/.test(part.trim()));
    const file = join(dirname(path), name.replace(/\.js$/, ".ts")).split(sep).join("/");
    if (!onlyTypes && library.has(file)) found.push(file);
  }
  return found;
}

/** Depth-first; a file met again while it is still open closes a cycle. */
function findCycles(graph, kind) {
  const done = new Set();
  const open = [];
  const visit = (path) => {
    if (done.has(path)) return;
    const at = open.indexOf(path);
    if (at >= 0) {
      problems.push(`${kind} cycle: ${[...open.slice(at), path].join(" → ")}`);
      return;
    }
    open.push(path);
    for (const next of graph.get(path) ?? []) visit(next);
    open.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
}

function wayTo(from, target, seen = new Set()) {
  if (from === target) return [from];
  if (seen.has(from)) return undefined;
  seen.add(from);
  for (const next of libraryGraph.get(from) ?? []) {
    const rest = wayTo(next, target, seen);
    if (rest) return [from, ...rest];
  }
  return undefined;
}

function stem(path) {
  return basename(path).replace(/\.\w+$/, "");
}
