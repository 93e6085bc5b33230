// Owns the names of llama.cpp's samplers, their order, and what breaks DRY's sequences: how each is read. Pure; any thread. Both throw ZSEError
// BAD_OPTION naming the option, what was given and what is allowed.

import { quote } from "../base/quote.js";
import { bad } from "../errors.js";
import type { SamplerName } from "../types.js";
import { plainJson } from "./foreign.js";

/** In llama.cpp's own order, which is the default but for infill. native/node/request_values.cpp knows the same names. */
export const SAMPLERS = [
  "penalties",
  "dry",
  "topNSigma",
  "topK",
  "typicalP",
  "topP",
  "minP",
  "xtc",
  "temperature",
  "infill",
  "adaptiveP",
] as const satisfies readonly SamplerName[];

export const DEFAULT_SAMPLERS: readonly SamplerName[] = SAMPLERS.filter((name) => name !== "infill");

/** Names that llama.cpp has for some of them: its own in bodies, and in flags. */
const OTHER_NAMES: Readonly<Record<string, SamplerName>> = { typp: "typicalP", typ: "typicalP", temp: "temperature" };

/** By names without regard to case, "_" and "-", as llama.cpp's clients write them. */
const BY_NAME = new Map<string, SamplerName>([
  ...SAMPLERS.map((name) => [name.toLowerCase(), name] as const),
  ...Object.entries(OTHER_NAMES),
]);

export function readSamplers(name: string, value: unknown): SamplerName[] {
  const list = Array.isArray(value) ? (plainJson(value, name) as unknown[]) : value;
  if (!Array.isArray(list) || list.length > SAMPLERS.length) {
    throw bad(name, `${name} must be an array of up to ${SAMPLERS.length} names of samplers; given ${quote(value)}.`);
  }
  const order: SamplerName[] = [];
  for (const [index, one] of list.entries()) {
    const at = `${name}[${index}]`;
    const sampler = samplerOf(one);
    if (sampler === undefined)
      throw bad(at, `${at} must be one of ${SAMPLERS.map((known) => quote(known)).join(", ")}; given ${quote(one)}.`);
    if (order.includes(sampler)) throw bad(at, `${at} names ${sampler} a second time; each sampler acts once.`);
    order.push(sampler);
  }
  return order;
}

/** Of names that a file has, whatever they are: those that are known, each once. */
export function knownSamplers(names: unknown): SamplerName[] {
  const known = (Array.isArray(names) ? names : []).map(samplerOf).filter((one) => one !== undefined);
  return [...new Set(known)];
}

function samplerOf(name: unknown): SamplerName | undefined {
  return typeof name === "string" ? BY_NAME.get(name.toLowerCase().replace(/[_-]/g, "")) : undefined;
}

/** llama.cpp cuts longer ones. */
const LONGEST_BREAKER = 40;
const MOST_BREAKERS = 16;

export const DEFAULT_BREAKERS = ["\n", ":", '"', "*"] as const;

export function readBreakers(name: string, value: unknown): string[] {
  const list = Array.isArray(value) ? (plainJson(value, name) as unknown[]) : value;
  if (!Array.isArray(list) || list.length > MOST_BREAKERS) {
    throw bad(name, `${name} must be an array of up to ${MOST_BREAKERS} strings; given ${quote(value)}.`);
  }
  return list.map((one: unknown, index) => {
    const text = typeof one === "string" ? one.toWellFormed() : "";
    const fits = text !== "" && !text.includes("\0") && new TextEncoder().encode(text).length <= LONGEST_BREAKER;
    if (fits) return text;
    const at = `${name}[${index}]`;
    throw bad(at, `${at} must be a string of 1 to ${LONGEST_BREAKER} bytes, none of them zero; given ${quote(one)}.`);
  });
}
