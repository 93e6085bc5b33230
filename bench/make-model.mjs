// Owns the benchmark's models of a realistic size: the shapes of Qwen2.5-0.5B and 1.5B with random weights and the real qwen2
// vocabulary, the smallest quantized as llama-quantize's Q4_0 would, the others by it. What it says is noise; what it costs is what the real model costs.
// `node bench/make-model.mjs [file]`. The same seed gives the same file; about 355 MB, ten to twenty seconds.
//
// Real Q4_0 files of this model have Q8_0 embeddings: they are tied, so llama-quantize treats them as the output matrix and asks
// for Q6_K, and 896 columns are no multiple of Q6_K's 256, so it falls back to Q8_0 (src/llama-quant.cpp).
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { GGUFValueType, gguf, serializeGgufMetadata } from "@huggingface/gguf";
import { probit } from "simple-statistics";
import { root } from "../scripts/paths.mjs";
import { main, progress, SetupError, say } from "../scripts/say.mjs";
import { fetchLlama, llamaDir } from "../vendor/fetch.mjs";
import { blockSize, bytesOf, types, writeQ4_0, writeQ8_0 } from "./lib/quantize.mjs";

/** Qwen2.5-0.5B, from its config.json. */
export const shape = { layers: 24, width: 896, heads: 14, kvHeads: 2, ffn: 4864, context: 32768, ropeBase: 1e6, epsilon: 1e-6 };

/** Qwen2.5-1.5B, from its config.json. */
const larger = { ...shape, layers: 28, width: 1536, heads: 12, ffn: 8960 };

/**
 * A model of 1.5B and a draft model of a third of its size that guesses some of its tokens, as one of the same family would: its first layers, and the
 * others add so little that they change the likeliest token now and then. What they cost is what real ones cost.
 */
const draftLayers = 4;
const faint = 0.05;

/** Where the models are kept; git ignores the folder. */
const fileOf = (name) => join(root, "bench", ".cache", `${name}.gguf`);
export const modelPath = fileOf("qwen2-0.5b-random-ascii-q4_0");
export const draftPath = fileOf("qwen2-1.5b-draft-random-ascii-q4_k_m");

/** The types that files of either size are made in, as llama-quantize calls them; the first of each size is the one that is measured when none is named. */
export const sizes = {
  "qwen2-0.5b": { shape, of: "Qwen2.5-0.5B", types: ["Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"] },
  "qwen2-1.5b": { shape: larger, of: "Qwen2.5-1.5B", types: ["Q4_K_M", "Q4_0", "Q5_K_M", "Q6_K", "Q8_0"] },
};

const alignment = 32;

/** Makes the smallest unless it is there. */
export async function makeModel(path = modelPath) {
  return writeQwen2(path, shape, "Qwen2.5-0.5B");
}

/**
 * Makes one of a size in a type unless it is there: by llama-quantize, of Q4_0, since what a weight is costs no time. Real files of that name have
 * the same types and the same size: columns that are no multiple of 256 get Q5_0 for Q4_K, Q5_1 for Q5_K and Q8_0 for Q6_K.
 */
export async function makeSized(size, type) {
  const { shape, of } = sizes[size];
  const path = fileOf(`${size}-random-ascii-${type.toLowerCase()}`);
  return path === modelPath ? makeModel() : quantize(path, type, (plain) => writeQwen2(plain, shape, of));
}

/** Makes both of the pair unless they are there; gives the path of the one that is drafted for. */
export async function makePair() {
  await quantize(draftPath, "Q4_K_M", (plain) =>
    writeQwen2(plain, { ...larger, layers: draftLayers, spreadOver: larger.layers }, "the first layers of Qwen2.5-1.5B"),
  );
  return quantize(fileOf("qwen2-1.5b-drafted-random-ascii-q4_k_m"), "Q4_K_M", (plain) =>
    writeQwen2(plain, { ...larger, acting: draftLayers }, "Qwen2.5-1.5B, of which the first layers decide"),
  );
}

async function quantize(path, type, write) {
  if (existsSync(path)) return path;
  const { buildTools, toolPath } = await import("./contenders/peers.mjs");
  await buildTools(["llama-quantize"]);
  const [plain, unfinished] = [`${path}.q4_0`, `${path}.${process.pid}`];
  try {
    await write(plain);
    say("quantizing it …");
    const { status, stderr, error } = spawnSync(toolPath("llama-quantize"), ["--allow-requantize", plain, unfinished, type], {
      encoding: "utf8",
    });
    if (status !== 0) throw new SetupError(`llama-quantize failed (${error?.message ?? `exit ${status}`}): ${stderr?.slice(-500)}`);
    renameSync(unfinished, path);
  } finally {
    for (const file of [plain, unfinished]) rmSync(file, { force: true });
  }
  return path;
}

function writeQwen2(path, shape, name) {
  return writeModel(path, (texts) => tensorsOf(texts, shape), {
    "general.name": text(`Random weights, shapes of ${name}`),
    "qwen2.block_count": number(shape.layers),
    "qwen2.context_length": number(shape.context),
    "qwen2.embedding_length": number(shape.width),
    "qwen2.feed_forward_length": number(shape.ffn),
    "qwen2.attention.head_count": number(shape.heads),
    "qwen2.attention.head_count_kv": number(shape.kvHeads),
    "qwen2.rope.freq_base": float(shape.ropeBase),
    "qwen2.attention.layer_norm_rms_epsilon": float(shape.epsilon),
  });
}

/** Values of a file's metadata. */
export const number = (value) => ({ type: GGUFValueType.UINT32, value });
export const float = (value) => ({ type: GGUFValueType.FLOAT32, value });
export const text = (value) => ({ type: GGUFValueType.STRING, value });
export const numbers = (values) => ({ type: GGUFValueType.ARRAY, value: values, subType: GGUFValueType.INT32 });

/**
 * Writes a model of random weights with the qwen2 vocabulary to `path`, unless it is there.
 * @param list gives its tensors, of the vocabulary's tokens: what matrixOf(), vectorOf() and embeddingsOf() give
 * @param metadata beside the vocabulary's
 */
export async function writeModel(path, list, metadata) {
  if (existsSync(path)) return path;
  fetchLlama();
  const vocabulary = await gguf(join(llamaDir, "models", "ggml-vocab-qwen2.gguf"), { allowLocalFile: true, typedMetadata: true });
  const tensors = placed(list(vocabulary.typedMetadata["tokenizer.ggml.tokens"].value));
  const header = headerOf({ ...vocabulary.typedMetadata, ...metadata }, tensors);

  mkdirSync(dirname(path), { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  const file = openSync(unfinished, "w");
  try {
    writeSync(file, header);
    const show = progress(`making ${path.slice(root.length + 1)}`);
    const random = normals(0x5eed);
    let done = 0;
    for (const tensor of tensors) {
      writeTensor(file, tensor, random);
      done += tensor.bytes;
      show(done / tensors.at(-1).end);
    }
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(unfinished, path); // a file under the final name is always whole
  return path;
}

/** The tensors in file order: name, shape (columns first, as GGUF has it), type, and the spread and mean of its weights. */
function tensorsOf(texts, shape) {
  const { layers, width, heads, kvHeads, ffn, acting = layers, spreadOver = layers } = shape;
  const kvWidth = (width / heads) * kvHeads;
  const [matrix, vector] = [matrixOf, vectorOf];
  const tensors = [embeddingsOf(texts, width), vector("output_norm.weight", width, 1, 0.05)];
  for (let layer = 0; layer < layers; layer++) {
    const name = (part) => `blk.${layer}.${part}`;
    // What is added to the residual is small enough for all layers together.
    const residual = (layer < acting ? 1 : faint) / Math.sqrt(2 * spreadOver);
    tensors.push(
      vector(name("attn_norm.weight"), width, 1, 0.05),
      matrix(name("attn_q.weight"), width, width),
      vector(name("attn_q.bias"), width, 0, 0.1),
      matrix(name("attn_k.weight"), width, kvWidth),
      vector(name("attn_k.bias"), kvWidth, 0, 0.1),
      matrix(name("attn_v.weight"), width, kvWidth),
      vector(name("attn_v.bias"), kvWidth, 0, 0.1),
      matrix(name("attn_output.weight"), width, width, residual),
      vector(name("ffn_norm.weight"), width, 1, 0.05),
      matrix(name("ffn_gate.weight"), width, ffn),
      matrix(name("ffn_up.weight"), width, ffn),
      matrix(name("ffn_down.weight"), ffn, width, residual),
    );
  }
  return tensors;
}

/** Keeps the scale of what it multiplies. */
export const matrixOf = (name, columns, rows, gain = 1) => ({
  name,
  dims: [columns, rows],
  type: types.Q4_0,
  spread: gain / Math.sqrt(columns),
  mean: 0,
});
/** The matrices of a mixture's experts. They repeat a million weights, since there are so many: what a weight is costs no time. */
export const expertsOf = (name, columns, rows, experts, gain = 1) => ({
  ...matrixOf(name, columns, rows, gain),
  dims: [columns, rows, experts],
  repeated: true,
});
export const vectorOf = (name, size, mean, spread) => ({ name, dims: [size].flat(), type: types.F32, spread, mean });
export const embeddingsOf = (texts, width) => ({
  name: "token_embd.weight",
  dims: [width, texts.length],
  type: types.Q8_0,
  spread: 0.02,
  mean: 0,
  scale: (row) => (isPlain(texts[row]) ? 1 : 0.01),
});

/** The tensors with their places in the file. */
function placed(tensors) {
  let offset = 0;
  for (const tensor of tensors) {
    tensor.count = tensor.dims.reduce((product, size) => product * size, 1);
    tensor.bytes = bytesOf(tensor.type, tensor.count);
    tensor.offset = offset;
    tensor.end = offset + tensor.bytes;
    offset = padded(tensor.end);
  }
  return tensors;
}

/**
 * Whether a token is whole by itself, as the vocabulary writes it (GPT-2's stand-ins for bytes; "Ġ" is a space). The others, control tokens
 * among them, get so short a row in the tied embeddings that they are never the likeliest: then every token of a reply is one piece
 * of text, and the arrival of text is the time of a token for every contender.
 */
function isPlain(text) {
  return /^Ġ?[!-~]+$/.test(text) && !text.startsWith("<|");
}

/** The file up to its tensor data: the vocabulary file's metadata with our shape in it, then the list of tensors. */
function headerOf(told, tensors) {
  const metadata = {
    ...told,
    tensor_count: { type: GGUFValueType.UINT64, value: BigInt(tensors.length) },
    "general.file_type": number(2), // LLAMA_FTYPE_MOSTLY_Q4_0
    "general.quantization_version": number(2),
    "general.alignment": number(alignment),
  };
  const start = Buffer.from(serializeGgufMetadata(metadata, { alignment: 1 }));
  const list = tensors.map(({ name, dims, type, offset }) => {
    const info = Buffer.alloc(8 + name.length + 4 + 8 * dims.length + 4 + 8);
    let at = info.writeBigUInt64LE(BigInt(name.length), 0);
    at += info.write(name, at, "latin1");
    at = info.writeUInt32LE(dims.length, at);
    for (const size of dims) at = info.writeBigUInt64LE(BigInt(size), at);
    at = info.writeUInt32LE(type.id, at);
    info.writeBigUInt64LE(BigInt(offset), at);
    return info;
  });
  const header = Buffer.concat([start, ...list]);
  return Buffer.concat([header, Buffer.alloc(padded(header.length) - header.length)]);
}

function writeTensor(file, tensor, random) {
  const weights = new Float32Array(Math.min(tensor.count, 32768 * blockSize));
  let last = null;
  for (let done = 0; done < tensor.count; done += weights.length) {
    const part = weights.subarray(0, Math.min(weights.length, tensor.count - done));
    if (tensor.repeated && last && part.length === weights.length) {
      writeSync(file, last);
      continue;
    }
    for (let i = 0; i < part.length; i++) part[i] = tensor.mean + tensor.spread * random();
    if (tensor.scale) scaleRows(part, done, tensor);
    last = encode(part, tensor.type);
    writeSync(file, last);
  }
  writeSync(file, Buffer.alloc(padded(tensor.end) - tensor.end));
}

function scaleRows(part, from, { dims, scale }) {
  const [columns] = dims;
  for (let at = 0; at < part.length; ) {
    const row = Math.floor((from + at) / columns);
    const end = Math.min(part.length, (row + 1) * columns - from);
    const factor = scale(row);
    for (; at < end; at++) part[at] *= factor;
  }
}

function encode(weights, type) {
  if (type === types.F32) return Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
  const out = new Uint8Array(bytesOf(type, weights.length));
  const write = type === types.Q4_0 ? writeQ4_0 : writeQ8_0;
  for (let block = 0; block * blockSize < weights.length; block++) write(weights, block * blockSize, out, block * type.bytes);
  return out;
}

/** Normal numbers from a seed: sfc32 picks one of 65,536 quantiles, two for each of its 32-bit words. */
function normals(seed) {
  const quantiles = Float32Array.from({ length: 65536 }, (_, i) => probit((i + 0.5) / 65536));
  let [a, b, c, counter] = [seed, seed ^ 0x9e3779b9, seed ^ 0x243f6a88, 1];
  let spare = -1;
  return () => {
    if (spare >= 0) {
      const value = quantiles[spare];
      spare = -1;
      return value;
    }
    const word = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + word) | 0;
    spare = word & 0xffff;
    return quantiles[word >>> 16];
  };
}

function padded(size) {
  return Math.ceil(size / alignment) * alignment;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(async () => say(await makeModel(process.argv[2] ? resolve(process.argv[2]) : undefined)));
}
