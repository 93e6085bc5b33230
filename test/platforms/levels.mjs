// One addon has a kernel for each level of instructions, and ZSE_CPU chooses a lower one. What deterministic streams say may differ from level to level. With a
// folder of the prompt cache that another level filled it is what it is without. Levels that round alike say the same.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, Skip } from "../../scripts/farm.mjs";

/** The levels of an x64 addon, lowest first, as native/cpu/cpu_level.cpp has them. */
const LEVELS = ["sse42", "avx2", "avxvnni", "avx512"];

const program = `
import { ZSE } from "zstream";
const model = new ZSE(undefined, { threads: 2, deterministic: true, maxStreams: 1, promptCache: { dir: process.env.FOLDER } });
const system = "You tell stories about animals, count up and down, and repeat words. Keep it short and be kind to everyone. ".repeat(8);
const replies = [];
for (const seed of [1, 2, 3, 4]) {
  const { text, usage } = await model.chat([{ role: "system", content: system }, { role: "user", content: "Tell me a story about an owl" }],
    { maxTokens: 120, temperature: 0.9, seed });
  replies.push({ text, cached: usage.cachedTokens });
}
await model.close();
console.log("told: " + JSON.stringify({ texts: replies.map((reply) => reply.text), cached: replies[0].cached }));
`;

/** `project`: a folder where zstream is installed. */
export async function levels(project) {
  if (process.platform !== "linux" || process.arch !== "x64") throw new Skip("only on Linux x64");
  const shared = mkdtempSync(join(tmpdir(), "zstream-levels-"));
  const tell = async (level, folder) => {
    const command = [process.execPath, "--input-type=module", "--eval", program];
    return JSON.parse(/^told: (.*)$/m.exec(await run(command, project, { env: { ZSE_CPU: level, FOLDER: folder } }))[1]);
  };
  try {
    const alone = new Map();
    for (const level of LEVELS) {
      try {
        alone.set(level, (await tell(level, mkdtempSync(join(shared, "own-")))).texts.join());
      } catch (error) {
        if (!/BAD_OPTION/.test(error.message)) throw error; // this processor has not got it
      }
    }
    if (alone.size < 2) throw new Skip("this processor has no second level");
    const others = join(shared, "all");
    for (const level of [...alone.keys(), ...[...alone.keys()].reverse()]) {
      const { texts } = await tell(level, others);
      if (texts.join() !== alone.get(level)) throw new Error(`${level} says something else with what other levels have put into the cache`);
    }
    const warm = await tell("avx2", others);
    if (warm.cached === 0) throw new Error("a level takes nothing from the cache that it has filled itself");
    if (alone.has("avxvnni") && alone.get("avxvnni") !== alone.get("avx2"))
      throw new Error("avx2 and avxvnni round alike, and say different things");
  } finally {
    rmSync(shared, { recursive: true, force: true });
  }
}
