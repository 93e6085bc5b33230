// `zse bench` and `zse devices` as a shell sees them, on the demo model. What the figures are is the machine's matter: here they have to be there.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Result } from "../../lib/cli/bench-page.js";
import type { Device } from "../../lib/types.js";
import { DEMO, zse } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-bench-"));
afterAll(() => rmSync(folder, { recursive: true }));

const run = async (...args: string[]) => {
  const { child, ended } = zse(...args);
  child.stdin?.end();
  return await ended;
};
const QUICK = ["--prompt-tokens", "100", "--new-tokens", "8", "--streams", "1,3", "--reps", "1", "--threads", "1"];

describe("zse bench", () => {
  test("measures a model, names the limit of the machine, and writes JSON and a picture of the same figures", async () => {
    const svg = join(folder, "demo.svg");
    const { code, stdout, stderr } = await run("bench", ...QUICK, "--json", "--svg", svg);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { firstToken, streams, limit, model, machine } = JSON.parse(stdout) as Result;
    expect(model).toMatchObject({ threads: 1, device: "CPU" });
    expect(machine.cores).toBeGreaterThan(0);
    expect(firstToken).toMatchObject({ promptTokens: 100 });
    expect(firstToken.cachedTokens).toBeGreaterThan(90);
    for (const { median } of [firstToken.cold, firstToken.known]) expect(median).toBeGreaterThan(0);
    expect(streams.map(({ streams, newTokens }) => [streams, newTokens])).toEqual([
      [1, 8],
      [3, 8],
    ]);
    for (const { tokensPerSecond, tokensPerSecondEach, betweenTokensMs } of streams) {
      expect(tokensPerSecond.median).toBeGreaterThan(0);
      expect(tokensPerSecondEach.median).toBeGreaterThan(0);
      expect(betweenTokensMs.longest).toBeGreaterThanOrEqual(betweenTokensMs.p50);
    }
    expect(limit!.bytesPerSecond).toBeGreaterThan(1e6);
    expect(limit!.bytesPerToken).toBeLessThanOrEqual(model.sizeBytes);
    expect(limit!.tokensPerSecond).toBeCloseTo(limit!.bytesPerSecond / limit!.bytesPerToken, 3);
    const drawn = readFileSync(svg, "utf8");
    expect(drawn).toMatch(/^<svg /);
    expect(drawn).toContain("npx zse bench --prompt-tokens 100 --new-tokens 8 --streams 1,3 --threads 1");
  });
  test("prints a page for people", async () => {
    const { code, stdout } = await run("bench", DEMO, ...QUICK);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^zStream demo: qwen2[\s\S]*\n {2}100 tokens of prompt, new +[\d.]+ ms[\s\S]*\n {2}3 +[\d.]+ [\s\S]*tokens\/s: a token reads/,
    );
  });
  test.each([
    [["--reps", "0"], /--reps must be a whole number from 1 to 1000; given "0"/],
    [["--streams", "1,x"], /--streams must be whole numbers from 1 to 256; given "x"/],
    [["--new-tokens", "1e9"], /--new-tokens must be/],
    [["--prompt-tokens", "900", "--context-size", "512"], /the context of a stream holds 512 tokens, and 900 \+ 64 are asked for/],
  ])("refuses what cannot be measured: %j", async (args, message) => {
    const { code, stdout, stderr } = await run("bench", ...args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });
});

describe("zse devices", () => {
  test("lists what models can run on, and says where a model's layers are", async () => {
    const { code, stdout, stderr } = await run("devices", DEMO, "--device", "cpu", "--threads", "1");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^device +kind +backend +memory\n/);
    expect(stdout).toMatch(/^CPU +cpu +CPU /m);
    expect(stdout).toMatch(/\ndemo\.gguf: all 5 layers on the CPU: device is cpu\n$/);
    const json = JSON.parse((await run("devices", "--json")).stdout) as { devices: Device[]; placement?: string };
    const cpu = json.devices.find(({ kind }) => kind === "cpu")!;
    expect(cpu.memoryFreeBytes).toBeLessThan(cpu.memoryTotalBytes); // this program has some of it
    expect(json.placement).toBeUndefined();
  });
  test("fails as other commands do for a file that is none", async () => {
    const { code, stdout, stderr } = await run("devices", join(folder, "nothing.gguf"));
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^zse: .*nothing\.gguf/);
  });
});
