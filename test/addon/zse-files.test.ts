// What happens to a .zse as a file: cut off, followed by something, in a folder that cannot be written to, opened again and again; and where
// `zse convert` cannot write. Nothing may be left behind, and nothing may grow.

import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { buildLibrary, openModel, ROOT, start, zse } from "./helpers.js";

const FIXTURES = join(ROOT, "test", "fixtures", "zse");
const DEMO_ZSE = join(ROOT, "models", "demo", "demo.zse");
const folder = mkdtempSync(join(tmpdir(), "zstream-zse-files-"));
const place = (name: string) => join(folder, name);
beforeAll(buildLibrary);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function refusalOf(bytes: Buffer): Promise<{ code: string; message: string }> {
  const path = place("damaged.zse");
  writeFileSync(path, bytes);
  return openModel({ contextSize: 64 }, path).ready.then(
    () => ({ code: "opened", message: "" }),
    (error) => error,
  );
}

describe("a file that is not whole is BAD_MODEL, with the place", () => {
  test.each(["v2-llamaedge-int4-tiled", "v2-phi3-int8", "v1-llamaedge-int4"])("%s cut off anywhere", async (name) => {
    const whole = readFileSync(join(FIXTURES, `${name}.zse`));
    const cuts = [0, 1, 3, 4, 11, 12, 63, 64, 100, 191, 192, 4095, 4096, whole.length - 1];
    for (let i = 1; i < 16; i++) cuts.push(Math.floor((whole.length * i) / 16));
    for (const size of cuts) {
      const { code, message } = await refusalOf(whole.subarray(0, size));
      expect(code, `cut at ${size}`).toBe("BAD_MODEL");
      if (size >= 4) expect(message, `cut at ${size}`).toMatch(/damaged\.zse.*at byte \d+: /);
    }
  });
  test("two files of generation 2, one after the other, are not one of them", async () => {
    const [one, other] = ["v2-llama-int8", "v2-phi3-int8"].map((name) => readFileSync(join(FIXTURES, `${name}.zse`)));
    const { code, message } = await refusalOf(Buffer.concat([one!, other!]));
    expect(code).toBe("BAD_MODEL");
    expect(message).toMatch(new RegExp(`at byte 8: .*${one!.length}.*${one!.length + other!.length}`));
  });
});

describe.skipIf(process.platform === "win32")("in a folder that cannot be written to", () => {
  const locked = place("locked");
  // Root may write everywhere, so where the tests are root's the commands are somebody else's.
  const somebody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(ROOT, "dist", "cli", "main.js"), ...args], { cwd: folder, encoding: "utf8", ...somebody });
  const reachable = spawnSync(process.execPath, ["--version"], { cwd: ROOT, ...somebody }).status === 0 && run("--version").status === 0;
  beforeAll(() => {
    mkdirSync(locked);
    copyFileSync(DEMO_ZSE, join(locked, "demo.zse"));
    chmodSync(join(locked, "demo.zse"), 0o444);
    chmodSync(locked, 0o555);
    chmodSync(folder, 0o755);
  });
  afterAll(() => chmodSync(locked, 0o755));

  test.skipIf(!reachable)("a .zse opens and streams, and nothing appears beside it", () => {
    const { status, stdout, stderr } = run("run", join(locked, "demo.zse"), "Count from 1 to 5", "--temperature", "0", "--quiet");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout.trim()).toBe("1, 2, 3, 4, 5");
    expect(readdirSync(locked)).toEqual(["demo.zse"]);
  });
  test.skipIf(!reachable)("convert says so, and leaves nothing", () => {
    const { status, stderr } = run("convert", join(locked, "demo.zse"), join(locked, "demo.gguf"));
    expect(status).toBe(1);
    expect(stderr).toMatch(/demo\.gguf" cannot be written: Permission denied/);
    expect(readdirSync(locked)).toEqual(["demo.zse"]);
  });
});

test.skipIf(process.platform === "win32")("convert does not replace what is no regular file, --force or not", () => {
  const queue = place("queue");
  expect(spawnSync("mkfifo", [queue]).status).toBe(0);
  for (const [output, flags] of [
    [queue, ["--force"]],
    [queue, []],
    [folder, ["--force"]],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, ["dist/cli/main.js", "convert", DEMO_ZSE, output, ...flags], {
      cwd: ROOT,
      encoding: "utf8",
    });
    expect(status).toBe(2);
    expect(stderr).toContain("is not a regular file");
  }
  expect(statSync(queue).isFIFO()).toBe(true);
  expect(readdirSync(folder).filter((name) => name.includes(".part"))).toEqual([]);
});

test.skipIf(process.platform !== "linux")(
  "30 times open and closed, memory is what it was before, native and mapped",
  async () => {
    const child = join(import.meta.dirname, "children", "zse-cycles.mjs");
    const { code, stdout, stderr } = await start(["--expose-gc", child, DEMO_ZSE], { timeoutMs: 160_000 }).ended;
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const { before, after } = JSON.parse(stdout);
    // The file has 3.4 MB: what leaks with each opening would be a hundred of them.
    expect(after.native - before.native).toBeLessThan(30);
    expect(after.mapped - before.mapped).toBeLessThan(10);
  },
  180_000,
);

test("--prompt-cache keeps the prompt of a .zse for the next run", async () => {
  const dir = place("cache");
  const prompt = `Repeat after me: ${"apple, pear, stone, ".repeat(40)}fox`;
  const run = async () => {
    const { child, ended } = zse(
      "run",
      DEMO_ZSE,
      prompt,
      "--prompt-cache",
      dir,
      "--json",
      "--quiet",
      "--temperature",
      "0",
      "--max-tokens",
      "4",
    );
    child.stdin?.end();
    const { code, stdout, stderr } = await ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout) as { text: string; usage: { promptTokens: number; cachedTokens: number } };
  };
  const first = await run();
  expect(first.usage.cachedTokens).toBe(0);
  const files = () =>
    readdirSync(dir, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith(".kv"));
  expect(files().length).toBe(1);
  const second = await run();
  expect(second.usage.cachedTokens).toBeGreaterThan(second.usage.promptTokens * 0.9);
  expect(second.text).toBe(first.text);
  expect(files().filter((name) => name.includes(".part"))).toEqual([]);
});
