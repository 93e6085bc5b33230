// Owns a comparison of builds by CPU time, which other programs on the machine disturb less than the clock: one compute thread, the builds in
// turns, each in a process of its own. `node bench/cpu-time.mjs <build> <build> … [model.gguf] [rounds]`; a build is a folder that holds dist/ and an
// addon, or FOLDER@LEVEL for one of its levels of instructions (.@avx2 .@avx512).
// Prints the least and the median milliseconds a token of a prompt of 512 tokens (4 of them), of one of 64 (16), of a reply (60 tokens), and of
// eight replies at once (24 tokens each), and their ratio to the build that was named before.
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { median } from "simple-statistics";

const words = process.argv.slice(2);
if (words[0] === "--child") await child(words[1], words[2]);
else parent();

function parent() {
  const model = words.find((word) => word.endsWith(".gguf")) ?? "";
  const rounds = Number(words.find((word) => /^\d+$/.test(word)) ?? 5);
  const builds = words.filter((word) => word !== model && !/^\d+$/.test(word));
  const results = new Map(builds.map((build) => [build, []]));
  for (let round = 0; round < rounds; round++) {
    for (const build of round % 2 === 0 ? builds : builds.toReversed()) {
      const [folder, level] = build.split("@");
      const { stdout, stderr, status } = spawnSync(process.execPath, [import.meta.filename, "--child", resolve(folder), model], {
        encoding: "utf8",
        env: level ? { ...process.env, ZSE_CPU: level } : process.env,
      });
      if (status !== 0) throw new Error(stderr);
      results.get(build).push(JSON.parse(stdout));
    }
  }
  for (const what of ["prompt of 512", "prompt of 64", "reply", "eight"]) {
    const figures = builds.map((build) => results.get(build).map((result) => result[what]));
    for (const [i, build] of builds.entries()) {
      const figure = (of) => `${of(figures[i]).toFixed(3)} ms${i > 0 ? `, ratio ${(of(figures[i]) / of(figures[i - 1])).toFixed(3)}` : ""}`;
      console.log(`${what}, ${build}: least ${figure((list) => Math.min(...list))}; median ${figure(median)}`);
    }
  }
}

async function child(folder, path) {
  const { ZSE } = await import(pathToFileURL(resolve(folder, "dist", "index.js")).href);
  const engine = new ZSE(path || undefined, { threads: 1, maxStreams: 8, promptCache: false, contextSize: 2048 });
  const words = "a cat ran ";
  await engine.completion({ prompt: words.repeat(10), maxTokens: 4, ignoreEos: true });
  // Each prompt begins with another number, so that nothing of one is known from another.
  const prompts = (count, length) =>
    perToken(async () => {
      const unit = (await engine.tokenize(words.repeat(20))).length / 20;
      let tokens = 0;
      for (let i = 0; i < count; i++) {
        const prompt = `${length + i} ${words.repeat(Math.round(length / unit))}`;
        tokens += (await engine.completion({ prompt, maxTokens: 1 })).usage.promptTokens;
      }
      return tokens;
    });
  const long = await prompts(4, 512);
  const short = await prompts(16, 64);
  const reply = await perToken(async () => {
    const { usage } = await engine.completion({ prompt: words, maxTokens: 60, ignoreEos: true, temperature: 0 });
    return usage.completionTokens;
  });
  const eight = await perToken(async () => {
    const asked = { maxTokens: 24, ignoreEos: true, temperature: 0 };
    const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => engine.completion({ prompt: `${i} ${words}`, ...asked })));
    return replies.reduce((sum, { usage }) => sum + usage.completionTokens, 0);
  });
  console.log(JSON.stringify({ "prompt of 512": long, "prompt of 64": short, reply, eight }));
  await engine.close();
}

async function perToken(work) {
  const before = process.cpuUsage();
  const tokens = await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / tokens;
}
