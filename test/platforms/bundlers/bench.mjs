// Owns the folder that a packer is tried in: an application with zStream installed, its program app.mjs, and what counts as a result.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fromFarm, run } from "../../../scripts/farm.mjs";

/** Gives `use` a fresh application, and removes it afterwards. `project` has zStream in its node_modules, `tarball` is what it came from. */
export async function withApplication(project, tarball, use) {
  const folder = mkdtempSync(join(tmpdir(), "zstream-bundle-"));
  try {
    cpSync(join(project, "node_modules"), join(folder, "node_modules"), { recursive: true, verbatimSymlinks: true });
    cpSync(join(import.meta.dirname, "app.mjs"), join(folder, "app.mjs"));
    const application = new Application(folder, tarball);
    application.write("package.json", '{ "name": "farm", "version": "1.0.0", "private": true }\n');
    await use(application);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class Application {
  constructor(folder, tarball) {
    this.folder = folder;
    this.tarball = tarball;
  }

  path(...names) {
    return join(this.folder, ...names);
  }

  write(name, text) {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), text);
  }

  /** Copies a file or a folder of the application to another place in it. */
  take(from, to) {
    cpSync(this.path(from), this.path(to), { recursive: true });
  }

  remove(...names) {
    for (const name of names) rmSync(this.path(name), { recursive: true });
  }

  /** Runs a program of Node, or of `node`. */
  node(args, { node = process.execPath, ...options } = {}) {
    return this.run([node, ...args], { node, ...options });
  }

  run(command, { cwd = this.folder, ...options } = {}) {
    return run(command, cwd, options);
  }

  /** Runs a result where it is, and it must stream. */
  async streams(args, options) {
    const out = await this.node(args, options);
    if (!/^done$/m.test(out)) throw new Error(`${args.join(" ")} printed no "done":\n${out.slice(-1500)}`);
  }

  /** Copies `names` into a folder outside the application and runs the first there, or `command`; it must say `words`. */
  async alone(names, words, { command = (at) => [process.execPath, join(at, names[0])], env } = {}) {
    const at = mkdtempSync(join(tmpdir(), "zstream-alone-"));
    try {
      for (const name of names) cpSync(this.path(name), join(at, name.replace(/^away/, "node_modules")), { recursive: true });
      const out = await run(command(at), at, { env });
      for (const word of [words].flat()) if (!out.includes(word)) throw new Error(`alone, it does not say "${word}":\n${out.slice(-1500)}`);
      if (/^\s+at /m.test(out)) throw new Error(`alone, it prints a stack:\n${out.slice(-1500)}`);
    } finally {
      rmSync(at, { recursive: true, force: true });
    }
  }

  /** A file of a package, which build/farm has after the first use. */
  tool(name, file, packages = [name]) {
    return fromFarm(name.replace("@", "").replace("/", "-"), packages, file);
  }

  /** The program of a later Node than ours may be. */
  nodeOf(major) {
    return fromFarm(`node ${major}`, [`node@${major}`], "node/bin/node");
  }
}

/** What a result without zStream beside it says. */
export const NAMES_THE_SETTING = ["ENGINE_FAILED", "leave zstream and @zstream/* external", "docs/BUNDLERS.md"];

/** What a bundle needs beside it when zStream's JavaScript is inside. */
export const ENGINE = ["node_modules/zstream", "node_modules/@zstream"];
