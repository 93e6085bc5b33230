// Files that are not models, or not whole: a typed error with a useful sentence, never a crash.

import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { ZSEError } from "../../lib/errors.js";
import { ask, buildLibrary, DEMO, openModel, ROOT, rejection } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function failure(path: string): Promise<ZSEError> {
  const model = openModel({}, path);
  const error = (await rejection(model.ready)) as ZSEError;
  expect(await rejection(model.chat(ask("Hi")))).toBe(error);
  expect(error.name).toBe("ZSEError");
  expect(error.message, "the sentence names the file").toContain(path);
  expect(error.message.length, "and says more than that").toBeGreaterThan(path.length + 15);
  return error;
}

describe("BAD_MODEL", () => {
  test("an empty file", async () => {
    expect((await failure(file("empty.gguf", ""))).code).toBe("BAD_MODEL");
  });
  test("text", async () => {
    expect((await failure(file("text.gguf", "This is not a model.\n".repeat(100)))).code).toBe("BAD_MODEL");
  });
  test("the wrong magic number", async () => {
    const bytes = Buffer.from(readFileSync(DEMO));
    bytes.write("GGML", 0, "latin1");
    expect((await failure(file("magic.gguf", bytes))).code).toBe("BAD_MODEL");
  });
  test("a version of GGUF that does not exist", async () => {
    const bytes = Buffer.from(readFileSync(DEMO));
    bytes.writeUInt32LE(77, 4);
    expect((await failure(file("version.gguf", bytes))).code).toBe("BAD_MODEL");
  });
  test("noise after the right magic number", async () => {
    const bytes = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 251));
    bytes.write("GGUF", 0, "latin1");
    bytes.writeUInt32LE(3, 4);
    expect((await failure(file("noise.gguf", bytes))).code).toBe("BAD_MODEL");
  });
  test.skipIf(process.platform === "win32")("a pipe, which would be waited for without end", async () => {
    const path = join(folder, "pipe.gguf");
    execFileSync("mkfifo", [path]);
    expect((await failure(path)).code).toBe("BAD_MODEL");
  });
  test("a model cut off at 50 places", async () => {
    const bytes = readFileSync(DEMO);
    // Half of them within the header, where every field can be cut; half in the tensors' data.
    const cuts = Array.from({ length: 50 }, (_, i) =>
      i < 25 ? Math.floor(4 + i ** 2 * 40) : Math.floor(30_000 + ((bytes.length - 30_100) * (i - 25)) / 24),
    );
    for (const [i, cut] of cuts.entries()) {
      expect((await failure(file(`cut-${i}.gguf`, bytes.subarray(0, cut)))).code, `cut at ${cut}`).toBe("BAD_MODEL");
      rmSync(join(folder, `cut-${i}.gguf`));
    }
  }, 120_000);
});

describe("a GGUF file that llama.cpp would not survive is BAD_MODEL, with the byte and what is wrong there", () => {
  /** The demo model with four bytes of a metadata value replaced. */
  function withValue(key: string, value: number | "NaN"): Uint8Array {
    const bytes = Buffer.from(readFileSync(DEMO));
    const at = bytes.indexOf(key) + key.length + 4;
    if (value === "NaN") bytes.writeFloatLE(Number.NaN, at);
    else bytes.writeUInt32LE(value, at);
    return bytes;
  }
  test.each([
    ["qwen2.block_count", 0],
    ["qwen2.block_count", 4096],
    ["qwen2.attention.head_count", 0],
    ["qwen2.attention.head_count_kv", 3],
    ["qwen2.embedding_length", 0],
    ["qwen2.context_length", 0],
    ["qwen2.attention.layer_norm_rms_epsilon", "NaN"],
    ["general.file_type", 0xffffffff],
  ] as const)("%s of %s", async (key, value) => {
    const error = await failure(file("value.gguf", withValue(key, value)));
    expect(error).toMatchObject({ code: "BAD_MODEL", message: expect.stringMatching(/at byte [1-9]\d*: .*metadata key/) });
    expect(error.message).toContain(key.split(".").at(-1)!.replace("_kv", ""));
  });
  test("a token that is there twice", async () => {
    expect(await failure(file("twice.gguf", withFirstTokenTwice()))).toMatchObject({
      code: "BAD_MODEL",
      message: expect.stringMatching(/at byte \d+: token 1, ".*", is there twice/),
    });
  });
  test("a phi3 model one of whose layers has no attention weights", async () => {
    buildLibrary();
    const path = join(folder, "phi3.gguf");
    const zseFile = join(ROOT, "test", "fixtures", "zse", "v2-phi3-int8.zse");
    execFileSync(process.execPath, ["dist/cli/main.js", "convert", "--quiet", zseFile, path], { cwd: ROOT });
    const bytes = readFileSync(path);
    bytes.write("x", bytes.indexOf("blk.1.attn_qkv.weight") + "blk.1.attn_qk".length);
    expect(await failure(file("phi3.gguf", bytes))).toMatchObject({
      code: "BAD_MODEL",
      message: expect.stringMatching(/at byte \d+: tensor "blk\.1\.attn_qkv\.weight" is missing/),
    });
  });
  /** The first two tokens are single bytes, written with as many bytes. */
  function withFirstTokenTwice(): Uint8Array {
    const bytes = Buffer.from(readFileSync(DEMO));
    const first = bytes.indexOf("tokenizer.ggml.tokens") + "tokenizer.ggml.tokens".length + 4 + 4 + 8;
    const length = Number(bytes.readBigUInt64LE(first));
    bytes.copy(bytes, first + 8 + length, first, first + 8 + length);
    return bytes;
  }
});

describe("MODEL_NOT_FOUND", () => {
  test("a file that is not there", async () => {
    expect((await failure(join(folder, "nowhere.gguf"))).code).toBe("MODEL_NOT_FOUND");
  });
  test("a folder, either way of putting it", async () => {
    expect((await failure(folder)).code).toMatch(/^(MODEL_NOT_FOUND|BAD_MODEL)$/);
  });

  describe("a file that may not be read", () => {
    beforeAll(buildLibrary);
    const isRoot = process.getuid?.() === 0;
    const script = (path: string, uid: string) => `
      if (${uid} >= 0) { process.setgid(${uid}); process.setuid(${uid}); }
      const { ZSE } = await import("zstream");
      const model = new ZSE(${JSON.stringify(path)});
      console.log(JSON.stringify(await model.ready.then(() => ({ code: "none" }), (error) => ({ code: error.code, message: error.message }))));
    `;
    test("says so", () => {
      const path = file("secret.gguf", readFileSync(DEMO));
      chmodSync(folder, 0o755);
      chmodSync(path, 0o000);
      // Root may read everything: the child becomes nobody before it opens the file (the addon is loaded after that).
      const out = execFileSync(process.execPath, ["--input-type=module", "-e", script(path, isRoot ? "65534" : "-1")], {
        cwd: ROOT,
        encoding: "utf8",
      });
      const error = JSON.parse(out) as { code: string; message: string };
      expect(error.code).toBe("MODEL_NOT_FOUND");
      expect(error.message).toContain(path);
      expect(error.message).toMatch(/permission|denied|may not be read/i);
    });
  });
});

test("a model file that zeros make longer than the machine's memory opens and closes like any other", async () => {
  const path = file("long.gguf", readFileSync(DEMO));
  try {
    truncateSync(path, 2 * totalmem()); // takes no room on the disk
  } catch {
    return; // a file system without such files
  }
  const model = openModel({ contextSize: 64 }, path);
  await model.ready;
  expect((await model.chat(ask("Hi"), { maxTokens: 1 })).finishReason).toBe("length");
  await model.close();
});

test("a device that is not there is UNSUPPORTED", async () => {
  const model = openModel({ device: "metal" });
  expect(await rejection(model.ready)).toMatchObject({ code: process.platform === "darwin" ? expect.anything() : "UNSUPPORTED" });
});
