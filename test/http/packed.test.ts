// Bodies that clients pack: each way through each of the three doors, and bodies that unpack to more than may be read.

import type { Server } from "node:http";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { createAdaptorServer } from "@hono/node-server";
import { describe, expect, test } from "vitest";
import { createHandler } from "../../lib/http/index.js";
import { codingOf, unpack } from "../../lib/http/unpack.js";
import { GREEDY, json, listen, open, post, serveApp, serveModel } from "./helpers.js";

const PACKED: [string, string, (text: string | Uint8Array) => Uint8Array][] = [
  ["gzip", "gzip", gzipSync],
  ["gzip under its old name", "X-Gzip", gzipSync],
  ["deflate", "deflate", deflateSync],
  ["deflate without its head", "deflate", deflateRawSync],
  ["br", "br", brotliCompressSync],
];
const MAX = 100_000;
/** 64 MiB of one letter in 64 KB or less, by PACKED. Packed before anything is served: it takes longer than a connection is kept open. */
const LONG_BODY = JSON.stringify({ ...GREEDY, user: "x".repeat(1 << 26) });
const BOMBS = PACKED.map(([, , pack]) => pack(LONG_BODY));
const zlib = process.getBuiltinModule("node:zlib") as { zstdCompressSync?: (text: string) => Uint8Array };

const DOORS: [string, () => Promise<{ url: string }>][] = [
  ["zse serve", () => serveApp({}, { maxBodyBytes: MAX })],
  ["nodeHandler", () => serveModel({}, { maxBodyBytes: MAX })],
  [
    "createHandler",
    async () => {
      const handler = createHandler(await open(), { model: "qwen-7b", maxBodyBytes: MAX });
      return { url: await listen(createAdaptorServer({ fetch: handler, overrideGlobalObjects: false }) as Server) };
    },
  ],
];

describe.each(DOORS)("a packed body through %s", (_, serve) => {
  const send = (url: string, encoding: string, body: Uint8Array) =>
    post(url, "", { headers: { "content-type": "application/json", "content-encoding": encoding }, body: body as never });

  test("is read as it would be unpacked, is bounded, and is a 400 where it is broken", async () => {
    const { url } = await serve();
    const plain = (await json(await post(url, GREEDY))).choices;
    for (const [what, encoding, pack] of PACKED) {
      const packed = pack(JSON.stringify(GREEDY));
      const answer = await send(url, encoding, packed);
      expect(answer.status, what).toBe(200);
      expect((await json(answer)).choices).toEqual(plain);
      const cut = await send(url, encoding, packed.subarray(0, packed.length - 9));
      expect([cut.status, (await json(cut)).error.code], what).toEqual([400, "invalid_encoding"]);
      expect((await send(url, encoding, pack("x".repeat(MAX)))).status, what).toBe(400); // is read, and no JSON
      expect((await send(url, encoding, pack("x".repeat(MAX + 1)))).status, what).toBe(413);
      expect((await send(url, encoding, pack(""))).status, what).toBe(400);
      expect((await send(url, encoding, Buffer.from(JSON.stringify(GREEDY)))).status, what).toBe(400);
      expect((await send(url, encoding, pack(Buffer.of(0x22, 0xc3, 0x22)))).status, what).toBe(400);
    }
    expect((await send(url, "identity", Buffer.from(JSON.stringify(GREEDY)))).status).toBe(200);
  });

  test("that unpacks to far more ends at the bound", async () => {
    const { url } = await serve();
    for (const [i, [what, encoding]] of PACKED.entries()) {
      const bomb = BOMBS[i]!;
      expect(bomb.length, what).toBeLessThan(MAX);
      const before = process.cpuUsage();
      const answer = await send(url, encoding, bomb);
      const { user, system } = process.cpuUsage(before);
      expect([answer.status, (await json(answer)).error.code], what).toEqual([413, "body_too_large"]);
      expect((user + system) / 1000, what).toBeLessThan(100); // all of it would take more
    }
  });

  test("of another kind is a 415 that names those that are read", async () => {
    const { url } = await serve();
    const known = zlib.zstdCompressSync === undefined ? "gzip, deflate, br" : "gzip, deflate, br, zstd";
    for (const encoding of ["compress", "gzip, gzip", "constructor", "aes128gcm"]) {
      const { error } = await json(await send(url, encoding, gzipSync(JSON.stringify(GREEDY))));
      expect(error).toMatchObject({ code: "unsupported_media_type", message: expect.stringContaining(`one of ${known} here`) });
    }
    const zstd = await send(url, "zstd", zlib.zstdCompressSync?.(JSON.stringify(GREEDY)) ?? Buffer.of(0x28, 0xb5, 0x2f, 0xfd));
    expect(zstd.status).toBe(zlib.zstdCompressSync === undefined ? 415 : 200);
  });
});

describe("where there is no zlib", () => {
  test("the web's streams unpack gzip and deflate, within the bound", async () => {
    for (const [i, [what, encoding, pack]] of PACKED.slice(0, 4).entries()) {
      const coding = codingOf(encoding, null)!;
      const text = JSON.stringify(GREEDY);
      expect(Buffer.from((await unpack(pack(text), coding, MAX, null))!).toString(), what).toBe(text);
      expect(await unpack(BOMBS[i]!, coding, MAX, null), what).toBe(undefined);
      await expect(unpack(pack(text).subarray(0, -9), coding, MAX, null), what).rejects.toMatchObject({ status: 400 });
    }
  });

  test("the others are a 415", () => {
    expect(() => codingOf("br", null)).toThrow("one of gzip, deflate here");
  });
});
