// Owns reading a pool's options: its models, and its limits. Pure; any thread.

import { cutName, quote } from "../base/quote.js";
import { bad, ZSEError } from "../errors.js";
import { readSignal } from "../options/custom.js";
import { entriesOf, reading } from "../options/foreign.js";
import { readEngineOptions } from "../options/options.js";
import { INT32_MAX, isPlainObject, type Rule, readOptions } from "../options/rules.js";
import type { EngineOptionsInput } from "../types.js";
import { readPath } from "../zse.js";
import type { MemberSettings } from "./member.js";
import type { ModelPoolOptions, PooledModelInfo } from "./types.js";
import { machineBytes, type WeighedOptions } from "./weight.js";

/** Characters of a name. */
const LONGEST_NAME = 256;
/** The part of the memory that models may take where nothing is said. */
const USUAL_PART = 3 / 4;

const RULES = {
  models: { kind: "custom", read: readModels },
  maxOpen: { kind: "integer", min: 0, max: 65_536, default: 0, hint: "0 means no limit" },
  maxBytes: { kind: "integer", min: 1, max: Number.MAX_SAFE_INTEGER },
  idleMs: { kind: "integer", min: 0, max: INT32_MAX, default: 300_000, hint: "0 means never" },
  patienceMs: { kind: "integer", min: 0, max: INT32_MAX, default: 5000 },
  onChange: { kind: "function" },
} as const satisfies Record<keyof ModelPoolOptions, Rule>;

/** A model of the pool, and what its size depends on. */
export type ReadModel = MemberSettings & { weighed: WeighedOptions };

export interface PoolSettings {
  models: ReadModel[];
  maxOpen: number;
  maxBytes: number;
  idleMs: number;
  patienceMs: number;
  onChange: ((model: PooledModelInfo) => void) | undefined;
}

/** @throws ZSEError BAD_OPTION naming the option, what was given and what is allowed */
export function readPoolOptions(given: unknown): PoolSettings {
  const of = "new ModelPool()";
  const { models, maxBytes, ...rest } = reading(of, () => readOptions(RULES, given, of)) as unknown as Partial<PoolSettings>;
  if (models === undefined) throw bad("models", `${of} needs models: an object such as { qwen: "qwen-7b.gguf" }.`);
  const limit = maxBytes ?? Math.floor(machineBytes() * USUAL_PART);
  return { models, maxBytes: limit, ...rest } as PoolSettings;
}

/** Of what acquire() and use() are given: anything with a signal, an AbortController too. @throws ZSEError BAD_OPTION */
export function readLeaseSignal(call: string, given: unknown): AbortSignal | undefined {
  if (typeof given !== "object" || given === null) throw bad("options", `The options of ${call} must be an object; given ${quote(given)}.`);
  const { signal } = reading(call, () => ({ signal: (given as { signal?: unknown }).signal }));
  return signal === undefined ? undefined : readSignal("signal", signal);
}

function readModels(option: string, value: unknown): ReadModel[] {
  if (!isPlainObject(value)) throw bad(option, `${option} must be an object of models by their names; given ${quote(value)}.`);
  const models = entriesOf(value).map(([name, model]) => readModel(`${option}.${cutName(name)}`, name, model));
  if (models.length === 0) throw bad(option, `${option} must have one model at least; given none.`);
  const taken = new Set<string>();
  for (const { name, aliases } of models) {
    for (const one of new Set([name, ...aliases])) {
      if (taken.has(one)) throw bad(option, `${option} has two models of the name ${quote(one)}; names and aliases are of one model each.`);
      taken.add(one);
    }
  }
  return models;
}

function readModel(option: string, name: string, value: unknown): ReadModel {
  readName(option, name);
  if (typeof value === "string" || value instanceof URL) return modelOf(option, name, { path: value });
  if (isPlainObject(value)) return modelOf(option, name, Object.fromEntries(entriesOf(value)));
  throw bad(option, `${option} must be a model's path, or an object { path, …options }; given ${quote(value)}.`);
}

function modelOf(option: string, name: string, { path, aliases = [], ...options }: Record<string, unknown>): ReadModel {
  if (path !== undefined && typeof path !== "string" && !(path instanceof URL)) {
    throw bad(`${option}.path`, `${option}.path must be a file's path or file: URL; given ${quote(path)}.`);
  }
  if (!Array.isArray(aliases)) throw bad(`${option}.aliases`, `${option}.aliases must be an array of names; given ${quote(aliases)}.`);
  for (const [index, alias] of aliases.entries()) readName(`${option}.aliases[${index}]`, alias);
  const { native, isolation } = readOptionsOf(option, options);
  const { contextSize, maxStreams, maxQueue, kvType, speculate } = native;
  return {
    name,
    aliases: aliases as string[],
    path: path === undefined ? undefined : readPath(path),
    options: options as EngineOptionsInput,
    room: { maxStreams, maxQueue },
    weighed: { contextSize, maxStreams, kvType, draftModel: speculate?.draftModel, isIsolated: isolation !== undefined },
  };
}

/** Named by their place. */
function readOptionsOf(option: string, options: Record<string, unknown>): ReturnType<typeof readEngineOptions> {
  try {
    return readEngineOptions(options);
  } catch (error) {
    if (!(error instanceof ZSEError) || error.option === undefined) throw error;
    throw bad(`${option}.${error.option}`, `${option}.${error.message}`);
  }
}

function readName(option: string, name: unknown): asserts name is string {
  if (typeof name === "string" && name.trim() !== "" && name.length <= LONGEST_NAME) return;
  throw bad(option, `The name of a model must be a text of 1 to ${LONGEST_NAME} characters; given ${quote(name)}.`);
}
