// Owns a comparison of two builds by CPU time, which other programs on the machine disturb less than the clock: one compute thread, the builds in
// turns, each in a process of its own. `node bench/cpu-time.mjs <folder A> <folder B> [model.gguf] [rounds]`; a folder holds dist/ and an addon.
// Prints the least and the median milliseconds a token of a prompt (450 tokens, 4 times), of a reply (60 tokens) and of eight replies at once
// (24 tokens each), and B's ratio to A.
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { median } from "simple-statistics";

const [first, second, model = "", rounds = "5"] = process.argv.slice(2);
if (first === "--child") await child(second, model);
else parent();

function parent() {
  const folders = [first, second].map((folder) => resolve(folder));
  const results = new Map(folders.map((folder) => [folder, []]));
  for (let round = 0; round < Number(rounds); round++) {
    for (const folder of round % 2 === 0 ? folders : folders.toReversed()) {
      const { stdout, stderr, status } = spawnSync(process.execPath, [import.meta.filename, "--child", folder, model], {
        encoding: "utf8",
      });
      if (status !== 0) throw new Error(stderr);
      results.get(folder).push(JSON.parse(stdout));
    }
  }
  for (const what of ["prompt", "reply", "eight"]) {
    const [a, b] = folders.map((folder) => results.get(folder).map((result) => result[what]));
    const figure = (of) => `${of(a).toFixed(3)} and ${of(b).toFixed(3)} ms, ratio ${(of(b) / of(a)).toFixed(3)}`;
    console.log(`${what}: least ${figure((list) => Math.min(...list))}; median ${figure(median)}`);
  }
}

async function child(folder, path) {
  const { ZSE } = await import(pathToFileURL(resolve(folder, "dist", "index.js")).href);
  const engine = new ZSE(path || undefined, { threads: 1, maxStreams: 8, promptCache: false, contextSize: 2048 });
  const words = "a cat ran ";
  await engine.completion({ prompt: words.repeat(10), maxTokens: 4, ignoreEos: true });
  const prompt = await perToken(async () => {
    let tokens = 0;
    for (let i = 0; i < 4; i++) tokens += (await engine.completion({ prompt: i + words.repeat(150), maxTokens: 1 })).usage.promptTokens;
    return tokens;
  });
  const reply = await perToken(async () => {
    const { usage } = await engine.completion({ prompt: words, maxTokens: 60, ignoreEos: true, temperature: 0 });
    return usage.completionTokens;
  });
  const eight = await perToken(async () => {
    const asked = { maxTokens: 24, ignoreEos: true, temperature: 0 };
    const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => engine.completion({ prompt: `${i} ${words}`, ...asked })));
    return replies.reduce((sum, { usage }) => sum + usage.completionTokens, 0);
  });
  console.log(JSON.stringify({ prompt, reply, eight }));
  await engine.close();
}

async function perToken(work) {
  const before = process.cpuUsage();
  const tokens = await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / tokens;
}
