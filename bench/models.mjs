// Owns which models the benchmark runs on, and what it knows of each: its file, its size, what its KV cache takes.
import { existsSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { gguf } from "@huggingface/gguf";
import { root } from "../scripts/paths.mjs";
import { SetupError } from "../scripts/say.mjs";
import { hybridPath, makeHybrid } from "./make-hybrid.mjs";
import { makePair, makeSized, sizes } from "./make-model.mjs";

const demo = join(root, "models", "demo", "demo.gguf");

/** Finds a model by name or path; makes the one of random weights when it is missing. */
export async function findModel(which) {
  if (which === "demo") return describe("demo", demo, "the embedded demo model");
  const sized = sizeAndType(which);
  if (sized) {
    const [size, type] = sized;
    return describe(which, await makeSized(size, type), `random weights in the shapes of ${sizes[size].of}, ${type}`);
  }
  if (which === "qwen2-1.5b-drafted") {
    const path = await makePair();
    return describe("qwen2-1.5b-drafted", path, "random weights in the shapes of Qwen2.5-1.5B, Q4_K_M, of which the first layers decide");
  }
  if (which === "lfm2-350m") {
    await makeHybrid();
    return describe("lfm2-350m", hybridPath, "random weights in the shapes of LFM2-350M, a hybrid, Q4_0");
  }
  const path = resolve(process.env.INIT_CWD ?? ".", which);
  if (!existsSync(path))
    throw new SetupError(
      `there is no model ${path}: give qwen2-1.5b, qwen2-0.5b, either with a type (${sizes["qwen2-1.5b"].types.map((type) => `-${type.toLowerCase()}`).join(", ")}), qwen2-1.5b-drafted, demo, lfm2-350m, or the path of a .gguf file.`,
    );
  return describe(basename(path, ".gguf"), path, "a file of the caller's");
}

/** `qwen2-1.5b-q5_k_m` as its size and its type; a size alone has its usual type. */
function sizeAndType(which) {
  for (const [size, { types }] of Object.entries(sizes)) {
    const type = which === size ? types[0] : types.find((type) => which === `${size}-${type.toLowerCase()}`);
    if (type) return [size, type];
  }
}

async function describe(name, path, description) {
  const { metadata, tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true }).catch((error) => {
    throw new SetupError(`${path} is not a GGUF file that can be read: ${error.message}.`);
  });
  return {
    name,
    path,
    description,
    modelBytes: statSync(path).size,
    trainedContext: Number(metadata[`${metadata["general.architecture"]}.context_length`]),
    kvBytesPerToken: kvBytesPerToken(metadata),
    ...workPerToken(tensorInfos, statSync(path).size - Number(tensorDataOffset)),
  };
}

/**
 * What one token costs of a dense model: the bytes of weights that a decoded one reads, and the multiplications by weights of one in a prompt.
 * Embeddings are looked up, not multiplied; where they are the output matrix too (tied), decoding reads them. A prompt needs the output matrix for
 * its last token alone.
 */
export function workPerToken(tensors, dataBytes) {
  const count = ({ shape }) => shape.reduce((product, size) => product * Number(size), 1);
  // From one's beginning to the next one's: some bytes more than a type's own where its end is filled up.
  const starts = [...tensors.map(({ offset }) => Number(offset)), dataBytes].toSorted((a, b) => a - b);
  const bytes = ({ offset }) => starts[starts.indexOf(Number(offset)) + 1] - Number(offset);
  const matrices = tensors.filter(({ name, shape }) => name.startsWith("blk.") && shape.length === 2);
  const output = tensors.filter(({ name }) => name === "output.weight");
  const read = [...matrices, ...(output.length > 0 ? output : tensors.filter(({ name }) => name === "token_embd.weight"))];
  return {
    bytesPerToken: read.reduce((sum, tensor) => sum + bytes(tensor), 0),
    multiplicationsPerToken: matrices.reduce((sum, tensor) => sum + count(tensor), 0),
  };
}

/** Bytes of keys and values, in half precision, that one token takes in all layers. */
export function kvBytesPerToken(metadata) {
  const of = (key) => metadata[`${metadata["general.architecture"]}.${key}`];
  const heads = Number(of("attention.head_count"));
  const headWidth = Number(of("embedding_length")) / heads;
  const keys = Number(of("attention.key_length") ?? headWidth);
  const values = Number(of("attention.value_length") ?? headWidth);
  const kvHeads = of("attention.head_count_kv") ?? heads; // of all layers, or of each
  const inAll = Array.isArray(kvHeads) ? kvHeads.reduce((sum, of) => sum + Number(of), 0) : Number(of("block_count")) * Number(kvHeads);
  return 2 * inAll * (keys + values);
}

/** How many compute threads zStream takes by itself: the physical cores. All contenders are given as many. */
export async function physicalCores() {
  const { ZSE } = await import("../dist/index.js"); // built by now, not when this file is loaded
  const model = new ZSE(demo, { contextSize: 64, maxStreams: 1 });
  const { threads } = await model.ready;
  await model.close();
  return threads;
}
