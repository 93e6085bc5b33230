// What an update of zStream does to the source of llama.cpp that is there already. A small repository stands in for it.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
let place: string;
let source: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "zstream-fetch-"));
  source = join(place, "vendor", "llama.cpp");
  mkdirSync(source, { recursive: true });
  mkdirSync(join(place, "vendor", "patches"));
  mkdirSync(join(place, "scripts"));
  cpSync(join(root, "scripts/say.mjs"), join(place, "scripts/say.mjs"));
  cpSync(join(root, "vendor/fetch.mjs"), join(place, "vendor/fetch.mjs"));
  git("init", "--quiet");
  writeFileSync(join(source, "file.c"), "one\n");
  git("add", ".");
  git("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "--message", "pinned");
  const pin = { ...JSON.parse(readFileSync(join(root, "vendor/llama.cpp.json"), "utf8")), commit: git("rev-parse", "HEAD").trim() };
  writeFileSync(join(place, "vendor/llama.cpp.json"), JSON.stringify(pin));
});

afterEach(() => rmSync(place, { recursive: true, force: true }));

function git(...args: string[]) {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  const result = spawnSync("git", args, { cwd: source, env, encoding: "utf8" });
  expect(result.stderr).toBe("");
  return result.stdout;
}

function fetch() {
  return spawnSync(process.execPath, [join(place, "vendor/fetch.mjs")], { encoding: "utf8" });
}

/** A patch that changes the line of file.c and adds a file. */
function patch(name: string, from: string, to: string, added: string) {
  writeFileSync(
    join(place, "vendor/patches", name),
    `Why: a test.\n\ndiff --git a/file.c b/file.c\n--- a/file.c\n+++ b/file.c\n@@ -1 +1 @@\n-${from}\n+${to}\n` +
      `diff --git a/${added} b/${added}\nnew file mode 100644\n--- /dev/null\n+++ b/${added}\n@@ -0,0 +1 @@\n+new\n`,
  );
}

const content = () => readFileSync(join(source, "file.c"), "utf8");

describe("patches to llama.cpp's source", () => {
  it("are applied once, in the order of their names, and a second run touches nothing", () => {
    patch("0002-b.patch", "two", "three", "b.c");
    patch("0001-a.patch", "one", "two", "a.c");
    expect(fetch()).toMatchObject({ status: 0, stderr: "" });
    expect(content()).toBe("three\n");
    writeFileSync(join(source, "file.c"), "somebody's experiment\n");
    expect(fetch().status).toBe(0);
    expect(content()).toBe("somebody's experiment\n");
  });

  it("are applied anew when one of them changed, and what an earlier one added goes", () => {
    patch("0001-a.patch", "one", "two", "a.c");
    expect(fetch().status).toBe(0);
    patch("0001-a.patch", "one", "another", "b.c");
    expect(fetch().status).toBe(0);
    expect(content()).toBe("another\n");
    expect([existsSync(join(source, "a.c")), existsSync(join(source, "b.c"))]).toEqual([false, true]);
    rmSync(join(place, "vendor/patches/0001-a.patch"));
    expect(fetch().status).toBe(0);
    expect(content()).toBe("one\n");
    expect(existsSync(join(source, "b.c"))).toBe(false);
  });

  it("that do not apply end the run with the patch's name, and taking it back repairs the tree", () => {
    patch("0001-a.patch", "one", "two", "a.c");
    expect(fetch().status).toBe(0);
    patch("0002-b.patch", "no such line", "three", "b.c");
    const failed = fetch();
    expect(failed.status).not.toBe(0);
    expect(failed.stderr).toContain("vendor/patches/0002-b.patch does not apply");
    rmSync(join(place, "vendor/patches/0002-b.patch"));
    writeFileSync(join(source, "file.c"), "left half done\n");
    expect(fetch().status).toBe(0);
    expect(content()).toBe("two\n");
  });
});
