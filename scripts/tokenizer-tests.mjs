// Owns the tests of patched tokenizing as a whole: `node scripts/tokenizer-tests.mjs [part of a test's name]`. Token ids are compared
// with those of a second program, built from llama.cpp's source as it is at the pin, and the work for long texts is counted.
// Needs a C++ compiler, CMake and llama.cpp's source; no model. A few minutes.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fetchLlama, llamaDir, pin } from "../vendor/fetch.mjs";
import { requireTools } from "./build.mjs";
import { root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";

const directory = join(root, "build", "tokenizer-tests");
const models = join(llamaDir, "models");
const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 32));

/** Most of a bound's steps that a byte may take: the tokenizers' own are below 12, most below 5. */
const mostStepsPerByte = 32;
const stepsPerLook = 256;

await main(async () => {
  requireTools();
  fetchLlama();
  build();
  console.log(`random texts: ZSE_TEST_SEED=${seed}`);
  const filter = process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? "";
  const tests = [...comparisons(), ...longTexts()].filter((test) => test.name.includes(filter));
  let [passed, failed] = [0, 0];
  const next = async () => {
    for (let test = tests.shift(); test; test = tests.shift()) {
      const problem = await test.run();
      console.log(`${problem ? "FAILED  " : "ok      "}${test.name}${problem ? `\n        ${problem}` : ""}`);
      if (problem) failed++;
      else passed++;
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, next));
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
});

function build() {
  const original = join(directory, "original");
  const stamp = join(original, `${pin.commit}.txt`);
  if (!existsSync(stamp)) {
    rmSync(original, { recursive: true, force: true });
    mkdirSync(original, { recursive: true });
    const archive = join(directory, "original.tar");
    must("git", ["-c", "safe.directory=*", "-C", llamaDir, "archive", "-o", archive, pin.commit, "src", "include"]);
    must("tar", ["-xf", archive, "-C", original]);
    rmSync(archive);
    writeFileSync(stamp, "");
  }
  if (!existsSync(join(directory, "CMakeCache.txt"))) {
    must("cmake", ["-S", join(root, "test/tokenize"), "-B", directory, "-DCMAKE_BUILD_TYPE=Release", `-DZSE_ORIGINAL=${original}`]);
  }
  must("cmake", ["--build", directory, "--target", "zse_tokens", "zse_tokens_original", "--parallel", String(availableParallelism())]);
}

function must(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (result.status === 0) return;
  process.stderr.write((result.stdout ?? "") + (result.stderr ?? ""));
  throw new SetupError(`the tokenizer tests could not be built (\`${command}\` exited with ${result.status}): see the errors above.`);
}

/** Names that tokenizer.ggml.pre may have, and those of them that stand for the other names with the same splitting. */
function preTokenizers() {
  const source = readFileSync(join(llamaDir, "src/llama-vocab.cpp"), "utf8");
  const names = [];
  const oneOfEach = new Map();
  for (const [, condition, type] of source.matchAll(/if \(\s*((?:tokenizer_pre == "[^"]+"[\s|]*)+)\)[\s{]*pre_type = (\w+)/g)) {
    const found = [...condition.matchAll(/"([^"]+)"/g)].map((match) => match[1]);
    names.push(...found);
    oneOfEach.set(groupOf(source, type), found[0]);
  }
  if (names.length < 80)
    throw new SetupError("the names of pre-tokenizers are not found in llama-vocab.cpp any more: see preTokenizers().");
  return { names, oneOfEach: [...oneOfEach.values()] };
}

/** Types share a list of expressions where their case labels stand together. */
function groupOf(source, type) {
  const at = source.indexOf(`case ${type}:`);
  return at < 0 ? "default" : source.indexOf("regex_exprs", at);
}

function vocabularies() {
  return readdirSync(models)
    .filter((name) => /^ggml-vocab-.*\.gguf$/.test(name))
    .map((name) => name.slice("ggml-vocab-".length, -".gguf".length));
}

function pathOf(vocabulary) {
  return join(models, `ggml-vocab-${vocabulary}.gguf`);
}

/** Tests that the same ids come out of both programs. */
function comparisons() {
  mkdirSync(directory, { recursive: true });
  const random = randomNumbers(seed);
  const inputs = readdirSync(models)
    .filter((name) => name.endsWith(".inp"))
    .flatMap((name) => readFileSync(join(models, name), "latin1").split("\n__ggml_vocab_test__\n"))
    .map((text) => Buffer.from(text, "latin1"));
  const texts = [...new Map(inputs.map((text) => [text.toString("latin1"), text])).values()];
  for (let i = 0; i < 600; i++) texts.push(randomText(random));
  const every = writeTexts("every.bin", texts);
  const ascii = writeTexts(
    "ascii.bin",
    texts.filter((text) => text.every((byte) => byte > 31 && byte < 127)),
  );

  const all = vocabularies().map((vocabulary) => ({ vocabulary, changes: [], texts: every }));
  const add = (vocabulary, changes, of = every) => all.push({ vocabulary, changes, texts: of });
  for (const name of preTokenizers().names) {
    // Its tokenizer ends the process at the first space; such files are refused before llama.cpp sees them.
    if (name !== "whitespace") add("gpt-2", [`pre=${name}`]);
  }
  for (const name of ["gpt-4o", "deepseek-v3", "jais-2", "superbpe"]) add("llama-bpe", [`pre=${name}`]);
  for (const vocabulary of ["phi-3", "qwen2"]) add(vocabulary, ["name=phi-3"]);
  add("bert-bge", ["name=modern-bert"]);
  add("llama-spm", ["model=plamo2"]);
  add("llama-spm", ["model=t5"]);
  add("gpt-2", ["model=hybriddna", "dna"]);
  add("gpt-2", ["model=rwkv"], ascii); // on others the original does not end: bytes of the vocabulary are missing
  return all.map(({ vocabulary, changes, texts }) => ({
    name: `the source's own token ids: ${[vocabulary, ...changes].join(" ")}`,
    run: () => compare(vocabulary, changes, texts),
  }));
}

async function compare(vocabulary, changes, texts) {
  const args = ["ids", texts, pathOf(vocabulary), ...changes];
  const [ours, theirs] = await Promise.all([program("zse_tokens", args), program("zse_tokens_original", args)]);
  if (theirs.status !== 0) return `the original ended with ${theirs.status}: ${theirs.errors}`;
  if (ours.status !== 0) return `ended with ${ours.status}: ${ours.errors}`;
  if (ours.lines.length < 100) return "tokenized next to nothing";
  const differ = ours.lines.findIndex((line, i) => line !== theirs.lines[i]);
  if (differ < 0 && ours.lines.length === theirs.lines.length) return undefined;
  const [text, way] = [Math.floor(differ / 4), differ % 4];
  return `text ${text} of ${texts}, way ${way}: ${ours.lines[differ]}, the original has ${theirs.lines[differ]}`;
}

/** Tests that long texts of one kind of character neither crash nor take more than work in proportion. */
function longTexts() {
  const all = preTokenizers().oneOfEach.map((name) => ({
    mode: "runs",
    size: 1 << 20,
    vocabulary: "gpt-2",
    changes: [`pre=${name}`, "merges=0"],
  }));
  for (const [vocabulary, ...changes] of [
    ["gpt-2"],
    ["llama-spm"],
    ["bert-bge"],
    ["nomic-bert-moe"],
    ["gemma-4"],
    ["llama-spm", "model=plamo2"],
    ["gpt-2", "model=rwkv"],
    ["gpt-2", "model=hybriddna", "dna"],
  ]) {
    all.push({ mode: "all", size: 1 << 18, vocabulary, changes });
  }
  return all.map(({ mode, size, vocabulary, changes }) => ({
    name: `linear for long texts of every kind${mode === "all" ? ", to the end" : ""}: ${[vocabulary, ...changes].join(" ")}`,
    run: () => linear(mode, size, vocabulary, changes),
  }));
}

async function linear(mode, size, vocabulary, changes) {
  const { status, lines, errors } = await program("zse_tokens", [mode, String(size), pathOf(vocabulary), ...changes]);
  if (status !== 0) return `ended with ${status} after "${lines.at(-1)}": ${errors}`;
  for (const line of lines) {
    const [quarter, whole] = line.split("\t").map(Number);
    const kind = line.split("\t").at(-1);
    if (whole * stepsPerLook > mostStepsPerByte * size) return `${kind}: ${(whole * stepsPerLook) / size} steps per byte`;
    if (whole > 5 * quarter + 64) return `${kind}: ${quarter} looks for a quarter of the text, ${whole} for all of it`;
  }
  return lines.length > 30 ? undefined : "tried next to nothing";
}

function program(name, args) {
  const child = spawn(join(directory, name), args, { stdio: ["ignore", "pipe", "pipe"], timeout: 300_000 });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (data) => {
    output += data;
  });
  child.stderr.on("data", (data) => {
    errors += data;
  });
  return new Promise((resolve) => {
    child.on("close", (code, signal) =>
      resolve({ status: signal ?? code, lines: output.split("\n").slice(0, -1), errors: errors.slice(-400) }),
    );
  });
}

/** Length, then bytes, of each. */
function writeTexts(name, texts) {
  const path = join(directory, name);
  const length = (text) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(text.length);
    return bytes;
  };
  writeFileSync(path, Buffer.concat(texts.flatMap((text) => [length(text), text])));
  return path;
}

/** mulberry32 */
function randomNumbers(state) {
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Runs of few characters of all classes, among them bytes that are no UTF-8 and marks for special tokens (see main.cpp). */
function randomText(random) {
  const characters = [
    ..."aAzZsStTrReEvVlLdDmMxACGT0179 \n\r\t\v'.,!?-_/<>|#$+=~^`(){}[]\"\\&*%@:;",
    ..."éÄßœñİıſΣσжЖאב٣३Ⅷ½²あいカキー一中文龥㐀가힣ㄱㄅกำកខ\u0301\u0308\u093f\u00a0\u3000\u2003\u200b\u0085\u2028\ufeff",
    ..."，。、！？…“”‘’—￠€∑→😀👍🏽\u{10400}\u{1e900}\u{20000}\u{1f1e9}\ufffd\u0002\u007f\ue000",
    ..."ABIMG",
    "don't",
    "<dna>",
    "</dna>",
    "IMGIMGABZ",
    "<sentinel:12>",
  ];
  const few = Array.from({ length: 1 + random(6) }, () => characters[random(characters.length)]);
  const parts = [];
  for (let count = random(60); count > 0; count--) {
    const kind = random(50);
    if (kind < 4) parts.push(Buffer.from([1, random(256)]));
    else if (kind < 5) parts.push(Buffer.from([128 + random(128)]));
    else
      parts.push(
        Buffer.from((kind < 35 ? few[random(few.length)] : characters[random(characters.length)]).repeat(random(3) ? 1 : 1 + random(9))),
      );
  }
  return Buffer.concat(parts);
}
