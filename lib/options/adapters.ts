// Owns reading the adapters that a model is opened with, and those that a stream asks for. Pure; any thread.
// All throw ZSEError BAD_OPTION naming the option, what was given and what is allowed.

import type { NativeAdapter, NativeEngineOptions } from "../addon/contract.js";
import { cutName, quote } from "../base/quote.js";
import { bad } from "../errors.js";
import { readFile } from "./custom.js";
import { entriesOf } from "./foreign.js";
import { isPlainObject } from "./rules.js";

const MOST_ADAPTERS = 64;
const LARGEST_SCALE = 100;
// A colon parts it from the model's name on the wire; a comma and a slash are kept free for lists and folders.
const NAME = /^[^\p{Cc}\p{Cf}:,/]{1,64}$/u;

type AdapterFiles = NonNullable<NativeEngineOptions["adapters"]>;

/** `[{ name, path, scale }]`. */
export function readAdapters(option: string, value: unknown): AdapterFiles {
  if (!Array.isArray(value)) throw bad(option, `${option} must be an array of { name, path, scale }; given ${quote(value)}.`);
  if (value.length > MOST_ADAPTERS) throw bad(option, `${option} takes up to ${MOST_ADAPTERS} adapters; given ${value.length}.`);
  const names = new Set<string>();
  return Array.from({ length: value.length }, (_, i) => {
    const at = `${option}[${i}]`;
    const adapter = readAdapterFile(at, value[i]);
    if (names.has(adapter.name))
      throw bad(`${at}.name`, `${at}.name is ${quote(adapter.name)}, as that of another one; each needs its own.`);
    names.add(adapter.name);
    return adapter;
  });
}

function readAdapterFile(at: string, value: unknown): AdapterFiles[number] {
  if (!isPlainObject(value)) throw bad(at, `${at} must be an object { name, path, scale }; given ${quote(value)}.`);
  const { name, path, scale = 1, ...unknown } = Object.fromEntries(entriesOf(value, at));
  for (const key of Object.keys(unknown)) {
    throw bad(`${at}.${cutName(key)}`, `${at} has no ${quote(key)}; there are: name, path, scale.`);
  }
  if (typeof name !== "string" || !NAME.test(name)) {
    throw bad(
      `${at}.name`,
      `${at}.name must be 1 to 64 characters without colon, comma, slash and control characters; given ${quote(name)}.`,
    );
  }
  return { name, path: readFile(`${at}.path`, path, "an adapter's GGUF file"), scale: readScale(`${at}.scale`, scale) };
}

function readScale(at: string, value: unknown): number {
  if (typeof value === "number" && value >= -LARGEST_SCALE && value <= LARGEST_SCALE) return value;
  throw bad(at, `${at} must be a number from -${LARGEST_SCALE} to ${LARGEST_SCALE}; given ${quote(value)}.`);
}

/** A name, or `{ name: scale }`. What has no strength is left out; undefined for none. */
export function readAdapter(option: string, value: unknown): readonly NativeAdapter[] | undefined {
  if (typeof value === "string") return [{ name: value }];
  if (!isPlainObject(value)) throw bad(option, `${option} must be an adapter's name, or an object { name: scale }; given ${quote(value)}.`);
  const entries = entriesOf(value, option);
  if (entries.length > MOST_ADAPTERS) throw bad(option, `${option} takes up to ${MOST_ADAPTERS} adapters; given ${entries.length}.`);
  const all = entries.map(([name, scale]) => ({ name, scale: readScale(`${option}.${cutName(name)}`, scale) }));
  const acting = all.filter(({ scale }) => scale !== 0).sort((a, b) => (a.name < b.name ? -1 : 1));
  return acting.length === 0 ? undefined : acting;
}
