// Owns the unpacking of request bodies (content-encoding): which packings are read, and what stops one that unpacks to far more than it
// was. Called on the JS thread of the model; Node's zlib works on its own threads. Where there is none, the web's streams unpack.

import { cutName } from "../base/quote.js";
import { WireError } from "./formats/wire-error.js";

export type Coding = "gzip" | "deflate" | "br" | "zstd";

/** Of node:zlib: a whole body at once, which ends with an error as soon as it is larger than maxOutputLength. */
type Unpack = (bytes: Uint8Array, options: object, done: (error: Error | null, result: Uint8Array) => void) => void;
type Zlib = Partial<Record<"gunzip" | "inflate" | "inflateRaw" | "brotliDecompress" | "zstdDecompress", Unpack>> & {
  constants: Record<string, number>;
};

const NAMES: Record<string, Coding> = { gzip: "gzip", "x-gzip": "gzip", deflate: "deflate", br: "br", zstd: "zstd" };
/** Log of the largest window (8 MiB) that a zstd body may ask for, as RFC 9659 has it. */
const ZSTD_WINDOW = 23;

/** Without an import, which bundlers for other runtimes would refuse. */
export function zlibOf(runtime: unknown = globalThis): Zlib | null {
  const { process } = runtime as { process?: { getBuiltinModule?: (name: string) => unknown } };
  return (process?.getBuiltinModule?.("node:zlib") as Zlib | undefined) ?? null;
}

/** The packing that a content-encoding header names; undefined for none. @throws WireError 415 naming those that are read here */
export function codingOf(encoding: string | null | undefined, zlib: Zlib | null = zlibOf()): Coding | undefined {
  const name = (encoding ?? "").trim().toLowerCase();
  if (name === "" || name === "identity") return undefined;
  const coding = Object.hasOwn(NAMES, name) ? NAMES[name]! : undefined;
  const known = codingsOf(zlib);
  if (coding !== undefined && known.includes(coding)) return coding;
  const message = `The content-encoding of a body must be one of ${known.join(", ")} here; given ${cutName(name)}.`;
  throw new WireError(415, message, { code: "unsupported_media_type" });
}

function codingsOf(zlib: Zlib | null): Coding[] {
  if (zlib === null) return typeof DecompressionStream === "undefined" ? [] : ["gzip", "deflate"];
  return zlib.zstdDecompress === undefined ? ["gzip", "deflate", "br"] : ["gzip", "deflate", "br", "zstd"];
}

/**
 * A body, unpacked. No more work is done than its first `maxBytes` take.
 * @returns undefined for one that is larger
 * @throws WireError 400 for what is not packed so
 */
export async function unpack(
  bytes: Uint8Array,
  coding: Coding,
  maxBytes: number,
  zlib: Zlib | null = zlibOf(),
): Promise<Uint8Array | undefined> {
  try {
    return await (zlib === null ? unpackAsStream(bytes, coding, maxBytes) : unpackBy(zlib, bytes, coding, maxBytes));
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE") return undefined;
    throw new WireError(400, `The body is not valid ${coding}, which its content-encoding says it is.`, {
      code: "invalid_encoding",
      cause,
    });
  }
}

function unpackBy(zlib: Zlib, bytes: Uint8Array, coding: Coding, maxBytes: number): Promise<Uint8Array> {
  const by = {
    gzip: zlib.gunzip,
    deflate: isRaw(bytes) ? zlib.inflateRaw : zlib.inflate,
    br: zlib.brotliDecompress,
    zstd: zlib.zstdDecompress,
  }[coding]!;
  const params = coding === "zstd" ? { [zlib.constants.ZSTD_d_windowLogMax!]: ZSTD_WINDOW } : undefined;
  return new Promise((resolve, reject) => {
    by(bytes, { maxOutputLength: Math.max(1, maxBytes), params }, (error, result) => (error ? reject(error) : resolve(result)));
  });
}

/** Some clients send "deflate" without the two bytes in front that belong there. */
function isRaw([first = 0, second = 0]: Uint8Array): boolean {
  return (first & 15) !== 8 || (first * 256 + second) % 31 !== 0;
}

async function unpackAsStream(bytes: Uint8Array, coding: Coding, maxBytes: number): Promise<Uint8Array | undefined> {
  const format = coding === "gzip" ? "gzip" : isRaw(bytes) ? "deflate-raw" : "deflate";
  const reader = new Blob([bytes as never]).stream().pipeThrough(new DecompressionStream(format)).getReader();
  const whole = new Bytes();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (whole.length + part.value.byteLength > maxBytes) {
      reader.cancel().catch(() => {});
      return undefined;
    }
    whole.add(part.value);
  }
  return whole.value;
}

/** Bytes that come in pieces, of which there may be as many as bytes. */
export class Bytes {
  #held = new Uint8Array(4096);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get value(): Uint8Array {
    return this.#held.subarray(0, this.#length);
  }

  add(part: Uint8Array): void {
    const length = this.#length + part.byteLength;
    if (length > this.#held.byteLength) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#held.byteLength));
      larger.set(this.value);
      this.#held = larger;
    }
    this.#held.set(part, this.#length);
    this.#length = length;
  }
}
