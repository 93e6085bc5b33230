import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Attempt, loadHelp } from "../../lib/addon/load-help.js";
import { packageRoot } from "../../lib/addon/package-root.js";
import { fromNative, ZSEError } from "../../lib/errors.js";

const root = mkdtempSync(join(tmpdir(), "zstream-help-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A project with zstream installed, and with the lockfile that is given. */
function project(name: string, lockfile?: [name: string, text: string]): string {
  const folder = join(root, name, "node_modules", "zstream");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "name": "zstream", "version": "1.2.3" }');
  if (lockfile !== undefined) writeFileSync(join(root, name, lockfile[0]), lockfile[1]);
  return folder;
}

const target = `${process.platform}-${process.arch}`;
const missing: Attempt = { from: `@zstream/${target}`, error: new Error("Cannot find module"), missing: true };
const broken = (message: string, code?: string): Attempt => ({
  from: "/x/build/Release/zstream.node",
  error: Object.assign(new Error(message), { code }),
  missing: false,
});

describe("an engine that cannot be loaded", () => {
  test("says where it ran, what was looked for, and one command that helps, on one screen", () => {
    const help = loadHelp(project("plain"), [broken("/x: invalid ELF header\n  more"), missing]);
    expect(help).toContain(`${target}`);
    expect(help).toContain(`Node ${process.version}`);
    expect(help).toContain("/x/build/Release/zstream.node: /x: invalid ELF header\n");
    expect(help).toContain(`@zstream/${target}: not installed`);
    expect(help).toContain("npx zse build");
    expect(help.split("\n").length).toBeLessThan(24);
  });
  test.each([
    ["/x: version `GLIBC_2.99' not found", "newer C library"],
    ["/x: invalid ELF header", "for another machine"],
    ["/x: failed to map segment from shared object", "noexec"],
    ["/x: cannot open shared object file: Permission denied", "SELinux"],
    ["something else", "please report it"],
  ])("%s: advice that fits", (reason, advice) => {
    expect(loadHelp(project("reasons"), [broken(reason)])).toContain(advice);
  });
  test("a processor without the instructions: what the addon says, and how to compile it", () => {
    const help = loadHelp(project("old"), [broken("this processor has none of the instructions", "UNSUPPORTED")]);
    expect(help).toContain("this processor has none of the instructions");
    expect(help).toContain("npx zse build");
  });
  test.skipIf(process.platform !== "linux")("a lockfile from another system is named, with the command of its package manager", () => {
    const help = loadHelp(project("lock", ["pnpm-lock.yaml", "'@zstream/darwin-arm64@1.2.3'"]), [missing]);
    expect(help).toContain(join(root, "lock", "pnpm-lock.yaml"));
    expect(help).toMatch(/pnpm add @zstream\/linux-\w+(-musl)?@1\.2\.3/);
  });
  test.skipIf(process.platform !== "linux")(
    "npm's lockfile from another system names every package in zstream's entry, and lacks this one's",
    () => {
      const own = `"node_modules/zstream": { "optionalDependencies": { "@zstream/darwin-arm64": "1.2.3", "@zstream/${target}": "1.2.3" } }`;
      const entry = (name: string) => `"node_modules/@zstream/${name}": { "optional": true }`;
      const lacks = ["package-lock.json", `{ ${entry("darwin-arm64")}, ${own} }`] as [string, string];
      expect(loadHelp(project("npm-lacks", lacks), [missing])).toContain("was made on another system");
      const musl = ["package-lock.json", `{ ${entry(`${target}-musl`)}, ${own} }`] as [string, string];
      expect(loadHelp(project("npm-other-libc", musl), [missing])).toMatch(/was made on another system/);
      const has = ["package-lock.json", `{ ${entry(target)}, ${entry(`${target}-musl`)}, ${own} }`] as [string, string];
      expect(loadHelp(project("npm-has", has), [missing])).not.toContain("was made on another system");
    },
  );
  test.skipIf(process.platform !== "linux")("a package that was left out is named, with the command that adds it", () => {
    const help = loadHelp(project("omitted", ["package-lock.json", '"node_modules/zstream"']), [missing]);
    expect(help).toMatch(/npm install --no-save @zstream\/linux-\w+(-musl)?@1\.2\.3/);
  });
  test("inside an Electron archive: unpack it", () => {
    expect(loadHelp("/app/resources/app.asar/node_modules/zstream", [broken("x")])).toContain("asarUnpack");
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
