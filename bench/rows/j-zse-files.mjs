// Owns row j: how long a .zse takes to open beside the GGUF that is equivalent to it (the one `zse convert` makes of it), and what it holds in memory at
// most. A process for each opening, the files in the page cache.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "../../scripts/paths.mjs";

const folder = join(root, "bench", ".cache");
const opener = fileURLToPath(new URL("../lib/open-model.mjs", import.meta.url));
/** How weights lie in the files that the ZSE engine's converter writes: INT4 in tiles where there is a C compiler, else row by row. */
const kinds = [
  { name: "int8", label: "INT8" },
  { name: "int4", label: "INT4" },
  { name: "tiled", label: "INT4 in tiles" },
];

export const row = {
  name: "j",
  title: "opening a .zse beside the equivalent GGUF: new ZSE() to ready, and the most memory meanwhile",
  models: ["qwen2-0.5b"],
  contenders: ["zstream"],
  engine: () => ({ contextSize: 256, maxStreams: 1 }),
  // Single openings scatter by a tenth.
  repetitions: (reps) => 2 * reps + 1,

  async measure(_engine, { model, modelBytes, threads, seed }) {
    const measures = {};
    for (const { name } of kinds) {
      const zse = await zseFile(name, model, modelBytes);
      const gguf = made(zse.replace(/\.zse$/, ".gguf"), (target) => convert(zse, target));
      const open = (path) => JSON.parse(execFileSync(process.execPath, [opener, path, String(threads)], { encoding: "utf8" }));
      for (const path of [zse, gguf]) open(path); // brings it into the page cache
      const results = {};
      for (const path of seed % 2 === 0 ? [gguf, zse] : [zse, gguf]) results[path] = open(path);
      measures[`${name}Ms`] = results[zse].milliseconds;
      measures[`${name}GgufMs`] = results[gguf].milliseconds;
      measures[`${name}Time`] = results[zse].milliseconds / results[gguf].milliseconds;
      measures[`${name}Memory`] = results[zse].peakMb / results[gguf].peakMb;
    }
    return measures;
  },

  figures: kinds.flatMap(({ name, label }) => [
    { label: `${label}, .zse`, unit: "ms", measure: `${name}Ms` },
    { label: `${label}, its GGUF`, unit: "ms", measure: `${name}GgufMs`, note: "read into memory, as on every CPU whose RAM has room" },
    { label: `${label}, time over its GGUF's`, unit: "×", measure: `${name}Time`, goals: [{ atMost: 1.5 }] },
    { label: `${label}, peak memory over its GGUF's`, unit: "×", measure: `${name}Memory`, goals: [{ atMost: 1.2 }] },
  ]),
};

async function zseFile(kind, model, bytes) {
  const path = (name) => join(folder, `zse-${bytes}-${name}.zse`);
  if (kind !== "tiled") return made(path(kind), (target) => convert(model, target, "--quant", kind));
  const { tileZse } = await import("../lib/tile-zse.mjs");
  const source = await zseFile("int4", model, bytes);
  return made(path(kind), (target) => tileZse(source, target));
}

/** `path`, made if it is not there; another name until it is whole. */
function made(path, make) {
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    make(`${path}.new`);
    renameSync(`${path}.new`, path);
  }
  return path;
}

function convert(...args) {
  execFileSync(process.execPath, [join(root, "dist", "cli", "main.js"), "convert", "--quiet", "--force", ...args]);
}
