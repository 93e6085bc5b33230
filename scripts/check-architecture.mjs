// Owns the rules of docs/ARCHITECTURE.md that a machine can check: who may include what, no cycles, who may hold a mutex.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { root } from "./paths.mjs";

/**
 * The rooms of native/, from the ground up, and whom each may include beside itself: no arrow runs back up. base and tokenize are
 * compiled into llama.cpp's library too, kernels into ggml's CPU backend alone.
 */
const rooms = {
  base: [],
  tokenize: ["base"],
  kernels: [],
  core: ["base"],
  reply: ["base", "core"],
  kv: ["base", "core"],
  schedule: ["base", "core", "reply", "kv"],
  files: ["base"],
  cpu: ["base"],
  gpu: [],
  llama: ["base", "core", "kv", "files", "tokenize", "cpu", "gpu"],
  engine: ["base", "core", "kv", "schedule", "llama"],
  node: ["base", "core", "files", "cpu", "llama", "engine"],
};
/** The same of lib/, types included. Files beside the rooms stand for themselves. */
const libraryRooms = {
  base: [],
  errors: ["base"],
  types: [],
  addon: ["errors", "types"],
  schema: ["base", "errors", "types"],
  options: ["base", "errors", "types", "addon", "schema"],
  engine: ["base", "errors", "types", "addon"],
  stream: ["base", "errors", "types", "addon", "schema", "options", "engine"],
  tools: ["base", "errors", "types", "addon", "schema", "options", "engine", "stream"],
  telemetry: ["errors", "types", "addon", "engine", "stream"],
  "model-cache": ["base", "errors", "types", "addon", "options", "engine", "model-calls"],
  "model-calls": ["types", "addon", "options", "engine", "stream", "tools"],
  hub: ["base", "errors", "types", "options"],
  zse: ["base", "errors", "types", "addon", "options", "engine", "hub", "stream", "telemetry", "tools", "model-calls", "model-cache"],
  pool: ["base", "errors", "types", "addon", "options", "engine", "stream", "zse"],
  index: ["errors", "types", "options", "stream", "tools", "hub", "zse", "pool", "model-cache"],
  http: ["base", "errors", "types", "options", "telemetry"],
  providers: ["base", "errors", "types", "options"],
  server: ["base", "errors", "types", "options", "telemetry", "http"],
  react: ["types"],
  ui: ["types", "react"],
  electron: ["base", "errors", "types", "addon", "options", "engine", "stream", "tools", "model-calls"],
  cli: ["base", "errors", "types", "addon", "options", "stream", "hub", "zse", "pool", "http", "server"],
};
/** Rooms that work on anything which streams as a model does. */
const withoutAddon = ["http", "providers", "telemetry", "react", "ui"];
/** Rooms where threads meet, and the one whose library keeps state of the process. Nobody else may hold a mutex. */
const mayLock = ["core", "kv", "engine", "llama"];
/** Headers from outside, and the folders that may include them; quoted ones that are not ours are llama.cpp's. */
const outside = [
  { headers: /^(napi|node_api|js_native_api|uv|node-)/, folders: ["native/node"] },
  { headers: /^(v8|node)\./, folders: [] }, // only Node-API keeps its binary interface
  { headers: /^nlohmann\//, folders: ["native/base", "native/llama"] },
  { headers: /^(ggml|gguf)\.h$/, folders: ["native/llama", "native/files/gguf", "native/kernels", "native/gpu"] },
  { headers: /^ggml-(backend|cpu)\.h$/, folders: ["native/llama", "native/cpu", "native/kernels", "native/gpu"] },
  { headers: /^ggml-feats\.h$/, folders: ["native/cpu"] },
  { headers: /^(ggml-(impl|backend-impl|cpu-impl)|quants|repack|simd-mappings|traits|vec)\.h$/, folders: ["native/kernels"] },
  { headers: /^(llama|ggml|gguf|common|chat|jinja)\b/, folders: ["native/llama"] },
];

const problems = [];
const native = sources("native", /\.(cpp|h)$/);
const library = sources("lib", /\.tsx?$/);
const nativeGraph = new Map([...native].map(([path, text]) => [path, checkIncludes(path, text)]));
/** The same files, types included: folders stand in one order for them too. */
const typesGraph = new Map();
const libraryGraph = new Map([...library].map(([path, text]) => [path, importsOf(path, text)]));

for (const [path, text] of native) {
  const lock = /std::(\w*mutex)/.exec(text);
  if (lock && !mayLock.includes(roomOf(path))) problems.push(`${path}: holds a std::${lock[1]}; only ${mayLock.join(", ")} may`);
}
findCycles(nativeGraph, "include");
findCycles(grouped(nativeGraph, dirname), "folder");
findCycles(libraryGraph, "import");
findCycles(grouped(libraryGraph, roomOf), "room");
findCycles(grouped(typesGraph, folderOf), "folder");
for (const path of library.keys()) {
  if (!withoutAddon.includes(roomOf(path))) continue;
  const way = wayTo(path, "lib/addon/load.ts");
  if (way) problems.push(`${path}: lib/${roomOf(path)} must load without the addon, but imports it by way of ${way.join(" → ")}`);
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
  const room = roomOf(path);
  if (!(room in rooms)) problems.push(`${path}: native/${room} is no room; there are ${Object.keys(rooms).join(", ")}`);
  for (const [, kind, name] of text.matchAll(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm)) {
    const own = [join(dirname(path), name), join("native", name)].map((file) => file.split(sep).join("/")).find((file) => native.has(file));
    if (own && kind === '"') {
      ours.push(own);
      const other = roomOf(own);
      if (other === room || rooms[room]?.includes(other)) continue;
      problems.push(`${path}: includes ${name}; native/${room} knows only ${["itself", ...(rooms[room] ?? [])].join(", ")}`);
      continue;
    }
    const rule = outside.find(({ headers }) => headers.test(name)) ?? (kind === '"' ? { folders: ["native/llama"] } : undefined);
    if (!rule || rule.folders.some((folder) => path.startsWith(`${folder}/`))) continue;
    problems.push(`${path}: includes ${name}; ${rule.folders.length > 0 ? `only ${rule.folders.join(", ")} may` : "nobody may"}`);
  }
  return ours;
}

/** native/tokenize/utf8.h → tokenize, lib/zse.ts → zse */
function roomOf(path) {
  return path.split("/")[1].replace(/\.ts$/, "");
}

/** lib/http/formats/format.ts → lib/http/formats; files beside the rooms stand for themselves. */
function folderOf(path) {
  return dirname(path) === "lib" ? path : dirname(path);
}

/** Files of lib/ that a file imports at run time; types leave no trace there, but in typesGraph. */
function importsOf(path, text) {
  const found = [];
  const withTypes = [];
  typesGraph.set(path, withTypes);
  const room = roomOf(path);
  if (!(room in libraryRooms)) problems.push(`${path}: lib/${room} is no room; there are ${Object.keys(libraryRooms).join(", ")}`);
  for (const [, clause, name] of text.matchAll(/(?:import|export)\s+([^;"']*?)(?:from\s+)?["'](\.[^"']+)["']/g)) {
    const named = /^\{([\s\S]*)\}$/.exec(clause.trim());
    const parts = named?.[1].split(",").filter((part) => part.trim() !== "");
    const onlyTypes = /^type\s/.test(clause) || parts?.every((part) => /^type\s/.test(part.trim()));
    const stem = join(dirname(path), name.replace(/\.js$/, "")).split(sep).join("/");
    const file = [`${stem}.ts`, `${stem}.tsx`].find((one) => library.has(one));
    if (file === undefined) continue;
    const other = roomOf(file);
    if (other !== room && !libraryRooms[room]?.includes(other)) {
      problems.push(`${path}: imports ${name}; lib/${room} knows only ${["itself", ...(libraryRooms[room] ?? [])].join(", ")}`);
    }
    withTypes.push(file);
    if (!onlyTypes) found.push(file);
  }
  return found;
}

/** The same graph with what `groupOf` says in place of a file. */
function grouped(graph, groupOf) {
  const groups = new Map();
  for (const [path, others] of graph) {
    const known = groups.get(groupOf(path)) ?? new Set();
    for (const other of others) if (groupOf(other) !== groupOf(path)) known.add(groupOf(other));
    groups.set(groupOf(path), known);
  }
  return groups;
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
