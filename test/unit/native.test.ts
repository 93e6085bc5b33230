import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { loadHelp } from "../../lib/addon/load-help.js";
import { packageRoot } from "../../lib/addon/package-root.js";
import { fromNative, ZSEError } from "../../lib/errors.js";

const root = mkdtempSync(join(tmpdir(), "zstream-help-"));
afterAll(() => rmSync(root, { recursive: true }));

describe("an addon that cannot be loaded", () => {
  test("says where it ran, what it tried, and what to do", () => {
    mkdirSync(join(root, "build", "Release"), { recursive: true });
    writeFileSync(join(root, "build", "Release", "zstream.node"), "");
    const help = loadHelp(root, new Error("No native build was found for platform=linux\n  loaded from: x"));
    expect(help).toContain(`${process.platform}-${process.arch}, Node ${process.version}`);
    expect(help).toContain("Reason: No native build was found for platform=linux");
    expect(help).toContain(`${join(root, "build", "Release")}: holds zstream.node`);
    expect(help).toContain(`${join(root, "prebuilds", `${process.platform}-${process.arch}`)}: no such folder`);
    expect(help).toContain("--ignore-scripts");
    expect(help).toContain("npm rebuild zstream");
  });
  test.each([
    ["/x: version `GLIBC_2.99' not found", "another (newer, or musl/glibc) C library"],
    ["/x: invalid ELF header", "built for another machine"],
    // What node-gyp-build says names the C library, which has nothing to do with it.
    ["No native build was found for platform=linux arch=x64 libc=glibc node=20.20.0\n    loaded from: /x", "never built here"],
    ["something else", "please report it"],
  ])("%s: advice that fits", (reason, advice) => {
    expect(loadHelp(root, new Error(reason))).toContain(advice);
  });
  test("inside an Electron archive: unpack it", () => {
    expect(loadHelp("/app/resources/app.asar/node_modules/zstream", new Error("x"))).toContain("asarUnpack");
  });
});

test("the package's root is where its package.json is", () => {
  expect(packageRoot()).toBe(join(import.meta.dirname, "..", ".."));
});

describe("errors from the addon", () => {
  test("keep a known code, and get ENGINE_FAILED for any other", () => {
    expect(fromNative({ code: "STALLED", message: "m" })).toMatchObject({ code: "STALLED", message: "m" });
    expect(fromNative({ code: "EWHAT", message: "m" })).toMatchObject({ code: "ENGINE_FAILED", message: "m" });
    expect(fromNative(new Error("m"))).toMatchObject({ code: "ENGINE_FAILED", message: "m" });
    expect(fromNative("odd")).toMatchObject({ code: "ENGINE_FAILED", message: "odd" });
    const error = new ZSEError("CLOSED", "m");
    expect(fromNative(error)).toBe(error);
  });
});
