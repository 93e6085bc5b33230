// Owns which of a repository's files are models, which of them belong together, and which one is meant or fits this machine. Pure.

import { quote } from "../base/quote.js";
import { ZSEError } from "../errors.js";
import { notFound } from "./failures.js";
import type { HubReference } from "./reference.js";

/** A file, by its path in the repository. */
export interface Sized {
  path: string;
  bytes: number;
}

/** One model of a repository: a file, or all parts of one that is split. */
export interface Model<File extends Sized = Sized> {
  /** In order; the first is the one that is opened. */
  files: File[];
  bytes: number;
  /** Such as "Q4_K_M" or "UD-Q4_K_XL"; undefined where the name has none. */
  quant: string | undefined;
  /** Its name without the quantization: models that have it in common are one model, in several. */
  family: string;
}

/** What is chosen, and why. */
export interface Choice<File extends Sized> {
  model: Model<File>;
  /** A sentence for people. */
  because: string;
}

/** Files that go with a model and are none: projectors of images, importance matrices, heads that guess ahead. As llama.cpp has them. */
const COMPANION = /mmproj|imatrix|mtp-|eagle3-|dflash-|dspark-/i;
const SPLIT = /^(.+)-(\d{5})-of-(\d{5})$/;
const QUANT =
  /(?:^|[-_./])((?:UD-)?(?:I?Q\d+(?:_(?:\d|K|NL|X{0,3}[SML]))*|TQ\d_\d|MXFP\d(?:_MOE)?|NVFP\d|BF16|F16|F32|FP16|FP32))(?=$|[-_./])/gi;

/** The models among files; a split one that is not all there is none. */
export function modelsAmong<File extends Sized>(files: readonly File[]): Model<File>[] {
  const groups = new Map<string, { stem: string; count: number; parts: Map<number, File> }>();
  for (const file of files) {
    const stem = /^(.+)\.gguf$/i.exec(file.path)?.[1];
    if (stem === undefined || COMPANION.test(stem.slice(stem.lastIndexOf("/") + 1))) continue;
    const [, whole = stem, part = "1", of = "1"] = SPLIT.exec(stem) ?? [];
    const count = Number(of);
    const group = groups.get(`${whole}/${count}`) ?? { stem: whole, count, parts: new Map<number, File>() };
    groups.set(`${whole}/${count}`, group);
    group.parts.set(Number(part), file);
  }
  return [...groups.values()].flatMap(({ stem, count, parts }) => {
    const inOrder = [...parts].sort(([a], [b]) => a - b);
    if (count < 1 || inOrder.length !== count || inOrder.some(([part], i) => part !== i + 1)) return [];
    const all = inOrder.map(([, file]) => file);
    return [{ files: all, bytes: all.reduce((sum, { bytes }) => sum + bytes, 0), ...named(stem) }];
  });
}

/** The quantization is the last one in the name; where the name has none, that of its folder. */
function named(stem: string): Pick<Model, "quant" | "family"> {
  const found = [...stem.slice(stem.lastIndexOf("/") + 1).matchAll(QUANT)].at(-1) ?? [...stem.matchAll(QUANT)].at(-1);
  if (found === undefined) return { quant: undefined, family: stem };
  const quant = found[1]!;
  return { quant: quant.toUpperCase(), family: stem.slice(stem.lastIndexOf("/") + 1).replace(quant, "") };
}

/** What a file's name has of a quantization. */
export function quantOf(path: string): string | undefined {
  return named(path.replace(/\.\w+$/, "").replace(/-\d{5}-of-\d{5}$/, "")).quant;
}

/**
 * The model that a reference means; undefined where it is not among these.
 * @throws ZSEError BAD_OPTION where several are meant
 */
export function meant<File extends Sized>(files: readonly File[], { repo, file, quant }: HubReference): Model<File> | undefined {
  const models = modelsAmong(files);
  if (file !== undefined) {
    const whole = models.find((model) => model.files.some(({ path }) => path === file));
    const alone = files.find(({ path }) => path === file);
    // A part whose others are missing is no model; a companion or a .zse file that was named is what is asked for.
    if (whole !== undefined || alone === undefined || SPLIT.test(file.replace(/\.gguf$/i, ""))) return whole;
    return { files: [alone], bytes: alone.bytes, quant: quantOf(file), family: file };
  }
  if (quant === undefined) return undefined;
  const asked = quant.toUpperCase();
  const exact = models.filter((model) => model.quant === asked);
  // As llama.cpp looks for it: anywhere in the name, before a dot or hyphen.
  const loose = () =>
    models.filter(({ files: [first] }) =>
      `${first!.path}-`
        .toUpperCase()
        .split(/(?=[.-])/)
        .some((word) => word.endsWith(asked)),
    );
  const found = exact.length > 0 ? exact : loose();
  const different = new Map(found.map((model) => [`${model.family} ${model.quant}`, model]));
  if (different.size > 1) {
    const paths = [...different.values()].map((model) => `hf:${repo}/${model.files[0]!.path}`);
    throw new ZSEError("BAD_OPTION", `${quote(quant)} of hf:${repo} is several models; name one: ${some(paths)}.`, { option: "path" });
  }
  return found.sort((a, b) => a.files.length - b.files.length)[0]; // the same whole and in parts: whole
}

/** @throws ZSEError MODEL_NOT_FOUND that says what there is instead */
export function notAmong(files: readonly Sized[], { repo, file, quant }: HubReference): ZSEError {
  const models = modelsAmong(files);
  const asked = file !== undefined ? `file ${quote(file)}` : quant !== undefined ? `model in ${quote(quant)}` : "GGUF file of a model";
  if (models.length === 0)
    return notFound(`hf:${repo} has no ${asked}, nor any other: look for a repository of the model with "GGUF" in its name.`);
  const there = models.map((model) => (file === undefined && model.quant !== undefined ? model.quant : model.files[0]!.path));
  return notFound(`hf:${repo} has no ${asked}; it has ${some([...new Set(there)].sort())}.`);
}

function some(names: readonly string[]): string {
  const shown = names.slice(0, 12);
  return `${shown.join(", ")}${names.length > shown.length ? ` and ${names.length - shown.length} more` : ""}`;
}

/** Memory of this machine or container, in bytes. */
export interface Memory {
  total: number;
  /** What programs may still take; undefined where the system does not tell it in a way that means something. */
  available: number | undefined;
}

/** From the best that is worth its size to the least that is worth trying. Unquantized weights are for those who ask for them. */
const LADDER = [
  "Q8_0",
  "Q6_K",
  "Q5_K_M",
  "Q5_K_S",
  "Q5_1",
  "Q5_0",
  "Q4_K_M",
  "Q4_K_S",
  "IQ4_NL",
  "IQ4_XS",
  "Q4_1",
  "Q4_0",
  "MXFP4",
  "MXFP4_MOE",
];
const USUAL = LADDER.indexOf("Q4_K_M");
const UNQUANTIZED = /^(?:BF16|F16|F32|FP16|FP32)$/;

/**
 * The model to take where no quantization was named. One that is small beside the memory there is: the best. Otherwise the usual one, Q4_K_M, or
 * the next below that fits.
 * @throws ZSEError UNSUPPORTED where none fits; MODEL_NOT_FOUND where there is none
 */
export function fitting<File extends Sized>(files: readonly File[], reference: HubReference, memory: Memory): Choice<File> {
  const ranked = modelsAmong(files)
    .map((model) => ({ model, rank: rankOf(model) }))
    .sort((a, b) => a.rank - b.rank || (a.rank < LADDER.length ? 0 : b.model.bytes - a.model.bytes) || shorterFirst(a.model, b.model));
  if (ranked.length === 0) throw notAmong(files, reference);
  const room = roomFor(memory);
  const fits = ranked.filter(({ model }) => need(model) <= room);
  const easy = fits.find(({ model, rank }) => rank < LADDER.length && need(model) <= room / 2);
  const usual = fits.find(({ rank }) => rank >= USUAL && rank < LADDER.length);
  const found = easy ?? usual ?? fits.filter(({ rank }) => rank < USUAL).at(-1) ?? fits[0];
  if (found === undefined) throw tooLarge(ranked, reference, room);
  const { model } = found;
  const fair = found === easy ? `the best that takes at most half of the ${gib(room)}` : `it fits into the ${gib(room)}`;
  const why = ranked.length === 1 ? "the only one" : `${fair} of memory there are`;
  return { model, because: `${model.quant ?? model.files[0]!.path}, ${gib(model.bytes)}: ${why}` };
}

function tooLarge(ranked: readonly { model: Model }[], { repo }: HubReference, room: number): ZSEError {
  const { quant, files, bytes } = ranked.map(({ model }) => model).reduce((least, model) => (model.bytes < least.bytes ? model : least));
  const smallest = `the smallest, ${quant ?? files[0]!.path}, needs about ${gib(need({ bytes }))}, and ${gib(room)} are there for it`;
  return new ZSEError("UNSUPPORTED", `No model of hf:${repo} fits: ${smallest}. Name a quantization to have it all the same.`);
}

/** Places on the ladder, then whatever is quantized otherwise, then what is not. */
function rankOf({ quant }: Model): number {
  const plain = quant?.replace(/^UD-/, "").replace(/_K_X?L$/, "_K_M") ?? "";
  const place = LADDER.indexOf(plain);
  return place >= 0 ? place : UNQUANTIZED.test(plain) ? LADDER.length + 1 : LADDER.length;
}

function shorterFirst(a: Model, b: Model): number {
  const [left, right] = [a.files[0]!.path, b.files[0]!.path];
  return left.length - right.length || (left < right ? -1 : 1);
}

/** Bytes that a model takes while it runs: the weights, a quarter more for the KV cache and what is computed, and something for the rest. */
export function need({ bytes }: Pick<Model, "bytes">): number {
  return bytes * 1.25 + 256 * 2 ** 20;
}

/** Bytes that a model may take: what is available, and never what the system itself needs. */
export function roomFor({ total, available }: Memory): number {
  const forOthers = Math.min(total / 4, 2 * 2 ** 30);
  return Math.max(0, Math.min(total - forOthers, available ?? total));
}

function gib(bytes: number): string {
  const [count, unit] = bytes < 2 ** 30 ? [bytes / 2 ** 20, "MiB"] : [bytes / 2 ** 30, "GiB"];
  return `${count.toFixed(count < 100 ? 1 : 0)} ${unit}`;
}
