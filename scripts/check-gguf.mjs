// Owns checking that what `zse convert` makes of .zse files is a GGUF file to others: each fixture and the demo model, converted, goes through
// llama.cpp's own llama-tokenize (its ids must be the source tokenizer's) and llama-bench (it must load and compute), built without our patches.
// Usage: node scripts/check-gguf.mjs; minutes the first time. Not part of CI.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { buildTools, toolPath } from "../bench/contenders/peers.mjs";
import { root } from "./paths.mjs";
import { main, say } from "./say.mjs";

const fixtures = join(root, "test", "fixtures", "zse");

await main(async () => {
  await buildTools(["llama-tokenize", "llama-bench"]);
  const folder = mkdtempSync(join(tmpdir(), "zstream-check-gguf-"));
  try {
    const names = readdirSync(fixtures).filter((name) => name.endsWith(".zse") && !name.includes("notok"));
    const failed = [...names.map((name) => join(fixtures, name)), join(root, "models", "demo", "demo.zse")].filter(
      (path) => !check(path, folder),
    );
    say(`${names.length + 1 - failed.length} passed, ${failed.length} failed`);
    if (failed.length > 0) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function check(path, folder) {
  const gguf = join(folder, `${basename(path)}.gguf`);
  run(process.execPath, [join(root, "dist", "cli", "main.js"), "convert", "--quiet", path, gguf]);
  const wrong = vectorsOf(path).filter(({ text, hf_ids }) => {
    // llama.cpp does not normalize, which docs/ZSE-FORMAT.md says.
    const ids = run(
      toolPath("llama-tokenize"),
      ["-m", gguf, "--ids", "--no-bos", "--no-escape", "--log-disable", "--stdin"],
      text.normalize("NFC"),
    );
    return ids.trim() !== JSON.stringify(hf_ids).replaceAll(",", ", ");
  });
  const [prompt, reply] = JSON.parse(run(toolPath("llama-bench"), ["-m", gguf, "-p", "16", "-n", "8", "-r", "1", "-t", "1", "-o", "json"]));
  const ran = prompt.n_prompt === 16 && reply.n_gen === 8 && reply.avg_ts > 0;
  for (const { text } of wrong) say(`${basename(path)}: other ids for ${JSON.stringify(text)}`);
  console.log(`${ran && wrong.length === 0 ? "ok    " : "FAILED"} ${basename(path)}: ${prompt.model_type}`);
  return ran && wrong.length === 0;
}

function vectorsOf(path) {
  if (!path.startsWith(fixtures)) return [];
  const { tokenizer, file } = JSON.parse(readFileSync(path.replace(/\.zse$/, ".expected.json"), "utf8"));
  const nfc = file.includes("qwen2");
  return tokenizer.vectors.filter(({ text }) => text !== "" && (nfc || text === text.normalize("NFC")));
}

function run(program, args, input = "") {
  const { status, signal, stdout, stderr } = spawnSync(program, args, { input, encoding: "utf8", maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`${basename(program)} ${args.join(" ")} ended with ${status ?? signal}:\n${stderr}`);
  return stdout;
}
