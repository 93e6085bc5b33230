import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { builtFolder, compiledAddons } from "../../lib/addon/compiled.js";
import { checkElf } from "../../lib/addon/elf.js";
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
  writeFileSync(join(root, name, "package.json"), "{}");
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

function isMusl(): boolean {
  const { header } = process.report!.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined;
}

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
    ["/x: file too short", "install again"],
    ["Module did not self-register: '/x'.", "install again"],
    ["/x: failed to map segment from shared object: Cannot allocate memory", "too little memory"],
    ["something else", "please report it"],
  ])("%s: advice that fits", (reason, advice) => {
    expect(loadHelp(project("reasons"), [broken(reason)])).toContain(advice);
  });
  test.each([
    ["Cannot load native addon because loading addons is disabled.", "ERR_DLOPEN_DISABLED", "--allow-addons"],
    ['Requires ffi access to "/x"', undefined, "--allow-ffi"],
    ["Access to this API has been restricted", "ERR_ACCESS_DENIED", "--allow-fs-read="],
    ["is of version 1.0.0, and zstream of 1.2.3", "OTHER_VERSION", `npm install --no-save @zstream/${target}`],
  ])("%s: the switch or the command that helps, and no other", (reason, code, advice) => {
    const help = loadHelp(project("switches", ["package-lock.json", "{}"]), [broken(reason, code)]);
    expect(help).toContain(advice);
    expect(help).not.toContain("zse build");
  });
  test("one that was installed for all: the command installs there, too", () => {
    const folder = project("global");
    rmSync(join(root, "global", "package.json"));
    expect(loadHelp(folder, [missing])).toContain(`npm install --global @zstream/${target}`);
  });
  test("a rule of the system's: the command that mends it names the folder", () => {
    const help = loadHelp(project("rule"), [broken("/x y/a.node: cannot restore segment prot after reloc: Permission denied")]);
    expect(help).toContain('restorecon -R -v "/x y"\n');
  });
  // The superuser may read everything.
  test.skipIf(process.platform === "win32" || process.getuid?.() === 0)(
    "a file that this user may not read: the command that opens it",
    () => {
      const file = join(root, "closed.node");
      writeFileSync(file, "");
      chmodSync(file, 0);
      const help = loadHelp(project("closed"), [broken(`${file}: cannot open shared object file: Permission denied`)]);
      expect(help).toContain(`chmod -R a+rX "${root}"\n`);
    },
  );
  test("a path is said once, though the loader begins with it too", () => {
    const file = "/x/build/Release/zstream.node";
    expect(loadHelp(project("once"), [broken(`${file}: file too short`)])).toContain(`    ${file}: file too short\n`);
  });
  test("a file that was cut short, and a package without its file: install again", () => {
    expect(loadHelp(project("short"), [broken("/x: cut short, with 1 of 2 bytes", "BAD_FILE")])).toContain("install again");
    expect(loadHelp(project("hollow"), [broken("Cannot find module './prebuilds/x.node'", "MODULE_NOT_FOUND")])).toContain("install again");
  });
  test.each([
    ["package-lock.json", "npx zse build"],
    ["pnpm-lock.yaml", "pnpm exec zse build"],
    ["yarn.lock", "yarn zse build"],
    ["bun.lock", "bunx zse build"],
    ["deno.lock", "deno run --allow-all npm:zstream/zse build"],
  ])("%s: the command is run as its package manager runs one", (name, command) => {
    const help = loadHelp(project(`run-${name}`, [name, ""]), [broken("something else")]);
    expect(help).toContain(`To compile the engine here: ${command}\n`);
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
  test.skipIf(process.platform !== "linux")(
    "the package of the other C library, which such a lockfile brings, is not taken for a damaged file",
    () => {
      const musl = isMusl();
      const wanted: Attempt = { ...missing, from: `@zstream/${target}${musl ? "-musl" : ""}` };
      const other: Attempt = { ...broken("/lib/libc.so: invalid ELF header"), from: `@zstream/${target}${musl ? "" : "-musl"}` };
      const lock = `{ "node_modules/${other.from}": { "optional": true } }`;
      const help = loadHelp(project("libc", ["package-lock.json", lock]), [wanted, other]);
      expect(help).toContain(`${other.from}: /lib/libc.so: invalid ELF header (of the other C library)\n`);
      expect(help).toContain("was made on another system");
      expect(help).not.toContain("damaged");
      expect(loadHelp(project("libc-none"), [wanted, other])).toContain(`npm install ${wanted.from}@1.2.3`);
      expect(loadHelp(project("libc-both"), [{ ...broken("file too short"), from: wanted.from }, other])).toContain("damaged");
    },
  );
  test.skipIf(process.platform !== "linux")("Deno's name of an npm package has no space in it", () => {
    expect(loadHelp(project("deno", ["deno.lock", ""]), [missing])).toMatch(/deno add npm:@zstream\/linux/);
  });
  test.skipIf(process.platform !== "linux")("a package that was left out is named, with the command that adds it", () => {
    const help = loadHelp(project("omitted", ["package-lock.json", '"node_modules/zstream"']), [missing]);
    expect(help).toMatch(/npm install --no-save @zstream\/linux-\w+(-musl)?@1\.2\.3/);
  });
  test("in a bundle without the package: external, or beside the executable", () => {
    const help = loadHelp("/srv/app/dist", [missing], { bundled: true });
    expect(help).toContain("leave zstream and @zstream/* external");
    expect(help).toContain("node_modules/@zstream beside it");
    expect(help).not.toContain("npm start");
  });
  test("inside an Electron archive: unpack it", () => {
    expect(loadHelp("/app/resources/app.asar/node_modules/zstream", [broken("x")])).toContain("asarUnpack");
  });
});

describe("an addon's file, before Linux loads it", () => {
  const elf = (machine: number, sectionsAt: number, bytes: number) => {
    const image = Buffer.alloc(bytes);
    image.write("\x7fELF\x02\x01", "latin1");
    image.writeUInt16LE(machine, 18);
    image.writeBigUInt64LE(BigInt(sectionsAt), 40);
    image.writeUInt16LE(64, 58);
    image.writeUInt16LE(2, 60);
    const file = join(root, `${machine}-${sectionsAt}-${bytes}.node`);
    writeFileSync(file, image);
    return file;
  };
  test("a whole one for this processor passes, and so does what is no ELF file or not there", () => {
    checkElf(elf(62, 1000, 1128), "x64");
    checkElf(elf(183, 1000, 1128), "arm64");
    checkElf(elf(243, 1000, 1128), "riscv64");
    writeFileSync(join(root, "text.node"), "x".repeat(100));
    checkElf(join(root, "text.node"));
    checkElf(join(root, "nowhere.node"));
    checkElf(root);
  });
  test("one that was cut short is refused: loading it would end the process", () => {
    expect(() => checkElf(elf(62, 1000, 1127), "x64")).toThrow(/cut short, with 1127 of 1128 bytes/);
    writeFileSync(join(root, "empty.node"), "");
    expect(() => checkElf(join(root, "empty.node"))).toThrow(/cut short, with 0 bytes/);
  });
  test("one for another processor is refused", () => {
    expect(() => checkElf(elf(183, 1000, 1128), "x64")).toThrow(/for another processor \(arm64\)/);
    expect(() => checkElf(elf(243, 1000, 1128), "x64")).toThrow(/ELF machine 243/);
  });
});

test("ZSE_BUILD_DIR is a folder to have a folder in, absolute whatever was given", () => {
  vi.stubEnv("ZSE_BUILD_DIR", "some/where");
  expect(builtFolder(project("built"))).toBe(resolve("some", "where", `zstream-1.2.3-${target}`));
  vi.unstubAllEnvs();
});

test("a bundle takes no addon that lies in build/Release beside it: it is somebody else's", () => {
  expect(compiledAddons(undefined)).toEqual([]);
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
