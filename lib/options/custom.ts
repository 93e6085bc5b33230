// Owns reading the options that no range can describe: each takes what was given and gives what the engine takes. Pure; any thread.
// All throw ZSEError BAD_OPTION naming the option, what was given and what is allowed.

import type { NativeEngineOptions } from "../addon/contract.js";
import { cutName, quote, quoteError } from "../base/quote.js";
import { bad } from "../errors.js";
import { entriesOf, plainJson } from "./foreign.js";
import { INT32_MAX, isPlainObject } from "./rules.js";

export function readStop(name: string, value: unknown): string[] {
  const list = typeof value === "string" ? [value] : Array.isArray(value) ? plainJson(value, name) : value;
  const fits = (one: unknown) => typeof one === "string" && one.length >= 1 && one.length <= 256;
  if (!Array.isArray(list)) {
    throw bad(name, `${name} must be a string or an array of up to 16 strings; given ${quote(value)}.`);
  }
  if (list.length > 16) throw bad(name, `${name} takes up to 16 strings; given ${list.length}.`);
  const index = list.findIndex((one) => !fits(one));
  if (index !== -1) {
    const where = typeof value === "string" ? name : `${name}[${index}]`;
    throw bad(where, `${where} must be a string of 1 to 256 characters; given ${quote(list[index])}.`);
  }
  return list.map((one: string) => one.toWellFormed());
}

export function readLogitBias(name: string, value: unknown): number[] {
  if (!isPlainObject(value)) {
    throw bad(name, `${name} must be an object { tokenId: bias }; given ${quote(value)}.`);
  }
  return entriesOf(value, name).flatMap(([key, bias]) => {
    const id = Number(key);
    if (!/^\d+$/.test(key) || id > INT32_MAX) {
      throw bad(name, `${name} has token ids as its keys (whole numbers from 0); given ${quote(key)}.`);
    }
    if (typeof bias !== "number" || !(bias >= -100 && bias <= 100)) {
      const at = `${name}[${cutName(key)}]`;
      throw bad(at, `${at} must be a number from -100 to 100; given ${quote(bias)}.`);
    }
    return [id, bias];
  });
}

export function readSignal(name: string, value: unknown): AbortSignal {
  const signal = value as Partial<AbortSignal> | null;
  try {
    // By its shape, since polyfills and other realms (Electron, jsdom) have an AbortSignal of their own.
    if (typeof signal === "object" && signal !== null && typeof signal.aborted === "boolean") {
      if (typeof signal.addEventListener === "function" && typeof signal.removeEventListener === "function") {
        return value as AbortSignal;
      }
    }
  } catch (error) {
    throw bad(name, `${name} cannot be read: ${quoteError(error)}.`);
  }
  throw bad(name, `${name} must be an AbortSignal (new AbortController().signal); given ${quote(value)}.`);
}

export function readGpuLayers(name: string, value: unknown): number {
  if (value === "auto") return -1;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 65_536) return value;
  throw bad(name, `${name} must be "auto" or a whole number from 0 to 65536; given ${quote(value)}.`);
}

/** How an engine is isolated. */
export interface Isolation {
  recover: boolean;
  hangAfterMs: number;
}

/** `true` and `false`, or `{ recover, hangAfterMs }`; undefined for none. */
export function readIsolate(name: string, value: unknown): Isolation | undefined {
  const isolation: Isolation = { recover: false, hangAfterMs: 10_000 };
  if (typeof value === "boolean") return value ? isolation : undefined;
  if (!isPlainObject(value)) {
    throw bad(name, `${name} must be true, false, or an object { recover, hangAfterMs }; given ${quote(value)}.`);
  }
  for (const [key, given] of entriesOf(value, name)) {
    if (given === undefined) continue;
    const at = `${name}.${cutName(key)}`;
    if (key === "recover") {
      if (typeof given !== "boolean") throw bad(at, `${at} must be true or false; given ${quote(given)}.`);
      isolation.recover = given;
    } else if (key === "hangAfterMs") {
      if (typeof given !== "number" || !(given >= 1000 && given <= 3_600_000)) {
        throw bad(at, `${at} must be a number of milliseconds from 1000 to 3600000; given ${quote(given)}.`);
      }
      isolation.hangAfterMs = given;
    } else {
      throw bad(at, `${name} has no ${quote(key)}; there are: recover, hangAfterMs.`);
    }
  }
  return isolation;
}

const CACHE_KEY_BYTES = 32;

/** A path, or a file: URL, which stays one: pages have this file too, and cannot make paths of them. `what` it is of, for people. */
export function readFile(at: string, value: unknown, what: string): string {
  if (value instanceof URL && value.protocol === "file:") return value.href;
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return value;
  throw bad(at, `${at} must be the path or file: URL of ${what}; given ${quote(value instanceof URL ? value.href : value)}.`);
}

/** No message repeats it. */
export function readCacheKey(name: string, given: unknown): Uint8Array {
  if (given instanceof Uint8Array && given.byteLength === CACHE_KEY_BYTES) return Uint8Array.from(given); // whoever gave it may overwrite theirs
  throw bad(name, `${name} must be a Buffer or Uint8Array of ${CACHE_KEY_BYTES} bytes; given ${kindOfKey(given)}.`);
}

/** What it is, and nothing of what is in it. */
function kindOfKey(given: unknown): string {
  if (given instanceof Uint8Array) return `${given.byteLength} bytes`;
  if (typeof given === "string") return `a text of ${given.length} characters, which Buffer.from(text, "hex") or "base64" makes bytes of`;
  return given === null ? "null" : `a value of the type ${typeof given}`;
}

/** `true` and `false`, or `{ ram, dir, disk, key, moved }`: bytes, a folder, bytes, 32 bytes that no message repeats, a boolean. */
export function readPromptCache(name: string, value: unknown): NativeEngineOptions["promptCache"] {
  const settings: NativeEngineOptions["promptCache"] = {
    enabled: value !== false,
    ram: 256 * 2 ** 20,
    dir: "",
    disk: 4 * 2 ** 30,
    moved: false,
  };
  if (typeof value === "boolean") return settings;
  if (!isPlainObject(value)) {
    throw bad(name, `${name} must be true, false, or an object { ram, dir, disk, key, moved }; given ${quote(value)}.`);
  }
  for (const [key, given] of entriesOf(value, name)) {
    if (given === undefined) continue;
    if (key === "ram" || key === "disk") {
      if (typeof given !== "number" || !(given >= 0 && given <= Number.MAX_SAFE_INTEGER)) {
        throw bad(
          `${name}.${key}`,
          `${name}.${key} must be a number of bytes from 0 to ${Number.MAX_SAFE_INTEGER}; given ${quote(given)}.`,
        );
      }
      settings[key] = Math.floor(given);
    } else if (key === "dir") {
      if (typeof given !== "string" || given === "" || given.includes("\0")) {
        throw bad(`${name}.dir`, `${name}.dir must be the path of a folder; given ${quote(given)}.`);
      }
      settings.dir = given;
    } else if (key === "key") {
      settings.key = readCacheKey(`${name}.key`, given);
    } else if (key === "moved") {
      if (typeof given !== "boolean") throw bad(`${name}.moved`, `${name}.moved must be true or false; given ${quote(given)}.`);
      settings.moved = given;
    } else {
      throw bad(`${name}.${cutName(key)}`, `${name} has no ${quote(key)}; there are: ram, dir, disk, key, moved.`);
    }
  }
  if (value.disk !== undefined && settings.dir === "") {
    throw bad(`${name}.disk`, `${name}.disk limits what is kept in ${name}.dir, which is not given; give both, or neither.`);
  }
  if (settings.key !== undefined && settings.dir === "") {
    throw bad(`${name}.key`, `${name}.key seals what is kept in ${name}.dir, which is not given; give both, or neither.`);
  }
  return settings;
}
