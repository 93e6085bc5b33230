// Owns the page at `/`: its files as they are sent, and the rules that a browser holds it to. Main thread. All files are read once, and each
// has a route of its own: no request's path ever reaches the disk.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Scripts, styles and pictures come from this server alone, nothing runs that is written into the page, and no page of others may hold it in a frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const SAFETY = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
} as const;
const OF_PAGE = {
  "content-security-policy": POLICY,
  "cross-origin-opener-policy": "same-origin",
  "x-frame-options": "DENY",
  "cache-control": "no-cache",
} as const;
/** Their names change with what is in them. */
const OF_ASSET = { "cache-control": "public, max-age=31536000, immutable" } as const;

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Bytes from which packing is worth it. */
const WORTH_PACKING = 1000;

interface PageFile {
  bytes: Uint8Array<ArrayBuffer>;
  packed: Uint8Array<ArrayBuffer> | undefined;
  tag: string;
  headers: Readonly<Record<string, string>>;
}

/** What of a request's headers decides how a file is sent. */
export interface FileAsk {
  acceptEncoding: string | undefined;
  ifNoneMatch: string | undefined;
}

export class Page {
  readonly #files: ReadonlyMap<string, PageFile>;

  /**
   * @param folder as scripts/bundle-ui.mjs has made it
   * @throws where it cannot be read
   */
  constructor(folder: string = fileURLToPath(new URL("../ui/", import.meta.url))) {
    const assets = readdirSync(join(folder, "assets")).map((name) => [`/assets/${name}`, join(folder, "assets", name)] as const);
    this.#files = new Map([["/", join(folder, "index.html")] as const, ...assets].map(([path, file]) => [path, read(path, file)]));
  }

  /** Where its files are. */
  get paths(): readonly string[] {
    return [...this.#files.keys()];
  }

  /** @param path one of `paths` */
  answer(path: string, { acceptEncoding, ifNoneMatch }: FileAsk): Response {
    const file = this.#files.get(path)!;
    const { tag, packed, bytes } = file;
    const headers = { ...file.headers, etag: tag };
    if (ifNoneMatch?.split(",").some((one) => one.trim() === tag)) return new Response(null, { status: 304, headers });
    const isPacked = packed !== undefined && takesGzip(acceptEncoding);
    const body = isPacked ? packed : bytes;
    const more = { "content-length": String(body.length), ...(isPacked ? { "content-encoding": "gzip" } : {}) };
    return new Response(body, { headers: { ...headers, ...more } });
  }
}

function read(path: string, file: string): PageFile {
  const bytes = new Uint8Array(readFileSync(file));
  const packed = bytes.length < WORTH_PACKING ? undefined : new Uint8Array(gzipSync(bytes));
  const type = TYPES[file.slice(file.lastIndexOf(".") + 1)] ?? "application/octet-stream";
  return {
    bytes,
    packed,
    // Weak: the same one is of the packed form.
    tag: `W/"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`,
    headers: {
      "content-type": type,
      ...SAFETY,
      ...(path === "/" ? OF_PAGE : OF_ASSET),
      ...(packed === undefined ? {} : { vary: "accept-encoding" }),
    },
  };
}

function takesGzip(header: string | undefined): boolean {
  return (header ?? "").split(",").some((one) => /^\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*$)|$)/i.test(one));
}
