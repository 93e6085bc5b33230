import { describe, expect, test } from "vitest";
import { installCommands, withoutPnp } from "../../lib/cli/install-commands.js";

describe("the tools of zse build are installed", () => {
  test("by npm first, by the others where it is not there", () => {
    expect(installCommands({}, "linux").map(({ name, file }) => [name, file])).toEqual([
      ["npm", "npm"],
      ["pnpm", "pnpm"],
      ["yarn", "yarn"],
      ["bun", "bun"],
    ]);
  });
  test("by the very program of the package manager that runs us, a script by this Node", () => {
    const of = (npm_execpath: string, name: string) => installCommands({ npm_execpath }, "linux").find((one) => one.name === name)!;
    expect(of("/x/lib/npm/bin/npm-cli.js", "npm")).toMatchObject({ file: process.execPath, shell: false });
    expect(of("/x/lib/npm/bin/npm-cli.js", "npm").args.slice(0, 2)).toEqual(["/x/lib/npm/bin/npm-cli.js", "install"]);
    expect(of("/x/pnpm/bin/pnpm.cjs", "pnpm").args.slice(0, 2)).toEqual(["/x/pnpm/bin/pnpm.cjs", "install"]);
    expect(of("/home/npm/yarn-4.9.js", "yarn").args).toEqual(["/home/npm/yarn-4.9.js", "install"]);
    expect(of("/x/bin/bun", "bun")).toMatchObject({ file: "/x/bin/bun" });
  });
  test("on Windows through the shell where the program is a script of the shell's", () => {
    const commands = installCommands({}, "win32");
    expect(commands.map(({ file, shell }) => [file, shell])).toEqual([
      ["npm.cmd", true],
      ["pnpm.cmd", true],
      ["yarn.cmd", true],
      ["bun.exe", false],
    ]);
  });
  test("and are found in a project of Yarn's Plug'n'Play, whose options do not reach the tools", () => {
    const pnp = '--max-old-space-size=99 --require /p/.pnp.cjs --experimental-loader "file:///p q/.pnp.loader.mjs" --no-warnings';
    expect(withoutPnp({ A: "1", NODE_OPTIONS: pnp })).toEqual({
      A: "1",
      NODE_OPTIONS: expect.stringMatching(/^--max-old-space-size=99 +--no-warnings$/),
    });
    expect(withoutPnp({ A: "1" })).toEqual({ A: "1" });
  });
});
