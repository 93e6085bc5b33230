// `zse pull`, `zse models` and `zse rm` as a shell sees them, and the commands that take a model of Hugging Face.

import { existsSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Ended, start, until } from "../addon/helpers.js";
import { bytesOf, DEMO, filesBelow, REPO, ROOT, worlds } from "./helpers.js";
import { COMMIT, refuse, sha256 } from "./hostile-hub.js";

const world = worlds();
const Q8 = `hf:${REPO}:Q8_0`;
const FOLDER = "hub/models--org--demo-GGUF";

function zse(args: string[], more: Record<string, string> = {}) {
  return start([join(ROOT, "dist", "cli", "main.js"), ...args], { env: { ...process.env, ...world.now.environment, ...more } });
}

async function run(...args: string[]): Promise<Ended> {
  const { child, ended } = zse(args);
  child.stdin?.end();
  return ended;
}

const pathHere = (name = "demo-Q8_0.gguf") => join(world.now.home, FOLDER, "snapshots", COMMIT, name);

/** Holds the second half of a file back for good. */
function stuck(): void {
  world.now.hub.hostile = ({ at }, response, content) => {
    if (at !== "storage") return false;
    response.writeHead(200, { "content-length": content!.length }).write(content!.subarray(0, 500_000));
    return true;
  };
}

describe("zse pull", () => {
  test("prints the path and nothing else on stdout; what it fetches, on stderr", async () => {
    expect(await run("pull", Q8)).toEqual({
      code: 0,
      signal: null,
      stdout: `${pathHere()}\n`,
      stderr: "zse: fetching demo-Q8_0.gguf; the model has 2.9 MiB\n",
    });
    expect(readFileSync(pathHere()).equals(DEMO)).toBe(true);
    world.now.hub.requests.length = 0;
    expect(await run("pull", Q8)).toMatchObject({ code: 0, stdout: `${pathHere()}\n`, stderr: "" });
    expect(world.now.hub.requests).toEqual([]);
    expect(await run("pull", Q8, "--update")).toMatchObject({ code: 0, stderr: "" });
    expect(world.now.hub.requests).toHaveLength(2);
  });
  test("says which quantization it takes, and why, where none is named", async () => {
    const { stderr } = await run("pull", `hf:${REPO}`);
    expect(stderr).toMatch(/^zse: no quantization was named: Q8_0, 2\.9 MiB: the only one\n/);
  });
  test("--json prints one object, -q nothing else", async () => {
    const { stdout, stderr } = await run("pull", Q8, "--json", "-q");
    const object = { path: pathHere(), files: [pathHere()], repo: REPO, commit: COMMIT, quant: "Q8_0", bytes: DEMO.length, fetched: true };
    expect(JSON.parse(stdout)).toEqual(object);
    expect(stderr).toBe("");
  });
  test("is interrupted by Ctrl-C with 130, and goes on with what is there", async () => {
    stuck();
    const { child, ended } = zse(["pull", Q8]);
    const partial = join(world.now.home, FOLDER, "blobs", `${sha256(DEMO)}.zse.incomplete`);
    await until(() => existsSync(partial) && readFileSync(partial).length > 0, "it begins");
    child.kill("SIGINT");
    expect(await ended).toMatchObject({ code: 130, stdout: "", stderr: expect.stringContaining("the same command goes on with it") });
    expect(filesBelow(world.now.home)).toHaveLength(1);
    world.now.hub.hostile = () => false;
    world.now.hub.requests.length = 0;
    expect(await run("pull", Q8)).toMatchObject({ code: 0 });
    expect(world.now.hub.fetches[0]!.headers.range).toMatch(/^bytes=\d+-$/);
  });
  test("that fails is one sentence and 1; a wrong name is 2", async () => {
    world.now.hub.hostile = (_, response) => refuse(response, 401, "GatedRepo");
    expect(await run("pull", Q8)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^zse: hf:org\/demo-GGUF is gated: [^\n]+\n$/),
    });
    expect(await run("pull", "demo.gguf")).toMatchObject({ code: 2, stderr: expect.stringContaining("A model of Hugging Face is") });
    expect(await run("pull")).toMatchObject({ code: 2 });
  });
  test("says what it tries again, and why", async () => {
    let left = 1;
    world.now.hub.hostile = (_, response) => left-- > 0 && refuse(response, 502, "");
    const { code, stderr } = await run("pull", Q8);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^zse: The list of files of hf:org\/demo-GGUF: the hub failed \(502\); trying again in \d\.\d s\n/);
  });
});

describe("zse models and zse rm", () => {
  test("a folder that is not there has no models", async () => {
    expect(await run("models")).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining("no model is in") });
    expect(JSON.parse((await run("models", "--json")).stdout)).toEqual([]);
    expect(filesBelow(world.now.home)).toEqual([]);
  });
  test("models lists name, size, last use and path; what it names can be opened and removed", async () => {
    const { pull, hub } = world.now;
    hub.add(REPO, "sub/other-Q4_0-00001-of-00002.gguf", bytesOf(1000, 1));
    hub.add(REPO, "sub/other-Q4_0-00002-of-00002.gguf", bytesOf(2000, 2));
    hub.add("a/b", "model.gguf", bytesOf(500, 3));
    await pull(`hf:${REPO}:Q4_0`);
    await pull("hf:a/b");
    await pull(Q8);
    utimesSync(pathHere(), new Date(Date.now() - 3 * 86_400_000), new Date(0));
    const listed = JSON.parse((await run("models", "--json")).stdout) as { reference: string; lastUsed: number }[];
    expect(listed.map(({ lastUsed, ...rest }) => rest)).toEqual([
      {
        reference: "hf:a/b/model.gguf",
        repo: "a/b",
        commit: COMMIT,
        path: join(world.now.home, "hub/models--a--b/snapshots", COMMIT, "model.gguf"),
        bytes: 500,
      },
      {
        reference: `hf:${REPO}:Q4_0`,
        repo: REPO,
        commit: COMMIT,
        quant: "Q4_0",
        path: pathHere("sub/other-Q4_0-00001-of-00002.gguf"),
        bytes: 3000,
      },
      { reference: Q8, repo: REPO, commit: COMMIT, quant: "Q8_0", path: pathHere(), bytes: DEMO.length },
    ]);
    const { stdout } = await run("models");
    expect(stdout.split("\n")).toHaveLength(4);
    expect(stdout).toMatch(/^hf:org\/demo-GGUF:Q8_0 +2\.9 MiB +used 3 days ago +\S+demo-Q8_0\.gguf$/m);
    for (const { reference } of listed) {
      expect(await pull(reference)).toMatchObject({ fetched: false });
      expect(await run("rm", reference)).toMatchObject({ code: 0, stdout: "" });
    }
    expect(filesBelow(world.now.home)).toEqual([]);
    expect(existsSync(join(world.now.home, FOLDER))).toBe(false);
  });
  test("a model of a branch is named with it, and is taken away from there alone", async () => {
    const { pull, home } = world.now;
    await pull(Q8);
    const dev = "d".repeat(40);
    mkdirSync(join(home, FOLDER, "snapshots", dev));
    mkdirSync(join(home, FOLDER, "refs", "team"));
    symlinkSync(join("..", "..", "blobs", sha256(DEMO)), join(home, FOLDER, "snapshots", dev, "demo-Q8_0.gguf"));
    writeFileSync(join(home, FOLDER, "refs", "team", "dev"), dev);
    const { stdout } = await run("models");
    expect(stdout.split("\n").map((line) => line.split(" ")[0])).toEqual([Q8, `hf:${REPO}@team%2Fdev:Q8_0`, ""]);
    expect(await run("rm", `hf:${REPO}@team%2Fdev:Q8_0`)).toMatchObject({ code: 0, stderr: expect.stringContaining("0 bytes are free") });
    expect(filesBelow(home)).toEqual([
      `${FOLDER}/blobs/${sha256(DEMO)}`,
      `${FOLDER}/refs/main`,
      `${FOLDER}/snapshots/${COMMIT}/demo-Q8_0.gguf`,
    ]);
  });
  test("rm leaves what another snapshot, model or tool needs", async () => {
    const { pull, hub, home } = world.now;
    hub.add(REPO, "same-Q4_0.gguf", DEMO); // the same blob by another name
    await pull(Q8);
    await pull(`hf:${REPO}:Q4_0`);
    writeFileSync(pathHere("config.json"), "{}");
    mkdirSync(join(home, "hub/datasets--x--y/blobs"), { recursive: true });
    writeFileSync(join(home, "hub/datasets--x--y/blobs/model-Q8_0.gguf"), "");
    expect(await run("rm", Q8)).toMatchObject({ code: 0, stderr: "zse: removed demo-Q8_0.gguf\nzse: 0 bytes are free again\n" });
    expect(readFileSync(pathHere("same-Q4_0.gguf")).equals(DEMO)).toBe(true);
    expect(await run("rm", `hf:${REPO}`)).toMatchObject({ code: 0, stderr: expect.stringContaining("2.9 MiB are free again") });
    expect(filesBelow(home)).toEqual([
      "hub/datasets--x--y/blobs/model-Q8_0.gguf",
      `${FOLDER}/refs/main`,
      `${FOLDER}/snapshots/${COMMIT}/config.json`,
    ]);
    expect(await run("rm", Q8)).toMatchObject({ code: 1, stderr: expect.stringContaining("is not in") });
  });
  test("rm takes away a link that leads elsewhere, and not what it leads to", async () => {
    const { home, pull } = world.now;
    await pull(Q8);
    const elsewhere = join(home, "mine-Q4_0.gguf");
    writeFileSync(elsewhere, "mine");
    symlinkSync(elsewhere, pathHere("mine-Q4_0.gguf"));
    expect(await run("rm", `hf:${REPO}:Q4_0`)).toMatchObject({ code: 0 });
    expect(readFileSync(elsewhere, "utf8")).toBe("mine");
    expect(existsSync(pathHere("mine-Q4_0.gguf"))).toBe(false);
    expect(existsSync(pathHere())).toBe(true);
  });
  test("what was fetched in part is told, taken away with its repository, and left alone while somebody fetches it", async () => {
    stuck();
    const { child, ended } = zse(["pull", Q8]);
    const partial = join(world.now.home, FOLDER, "blobs", `${sha256(DEMO)}.zse.incomplete`);
    await until(() => existsSync(partial) && readFileSync(partial).length > 100_000, "it begins");
    expect(await run("rm", `hf:${REPO}`)).toMatchObject({ code: 1, stderr: expect.stringContaining("another process just now") });
    child.kill("SIGKILL");
    await ended;
    expect((await run("models")).stderr).toMatch(/KiB of hf:org\/demo-GGUF were fetched and not finished/);
    expect(await run("rm", `hf:${REPO}`)).toMatchObject({ code: 0 });
    expect(filesBelow(world.now.home)).toEqual([]);
  });
});

describe("zse serve and zse chat", () => {
  test("take a model of Hugging Face", async () => {
    const server = zse(["serve", Q8, "--port", "0", "--threads", "1", "--log-level", "silent"]);
    let said = "";
    server.child.stdout?.on("data", (text: string) => {
      said += text;
    });
    await until(() => said.includes("listens on"), "it is ready", 30_000);
    server.child.kill("SIGTERM");
    expect((await server.ended).stderr).toContain("zse: fetching demo-Q8_0.gguf");
    const { child, ended } = zse(["chat", Q8, "--threads", "1", "--max-tokens", "3"]);
    child.stdin?.end("Hi\n");
    expect(await ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/\S/), stderr: expect.not.stringContaining("fetching") });
  });
});

describe("zse run", () => {
  test("takes a model of Hugging Face, with the prompt beside it or from stdin", async () => {
    const flags = ["--max-tokens", "3", "-q", "--threads", "1", "--context-size", "512"];
    const first = await run("run", Q8, "Hi", ...flags);
    expect(first).toMatchObject({ code: 0, stderr: "zse: fetching demo-Q8_0.gguf; the model has 2.9 MiB\n" });
    const { child, ended } = zse(["run", Q8, ...flags]);
    child.stdin?.end("Hi\n");
    expect(await ended).toMatchObject({ code: 0, stderr: "" });
  });
  test("ends at once at Ctrl-C while it fetches", async () => {
    stuck();
    const { child, ended } = zse(["run", Q8, "Hi"]);
    const partial = join(world.now.home, FOLDER, "blobs", `${sha256(DEMO)}.zse.incomplete`);
    await until(() => existsSync(partial), "it begins");
    child.kill("SIGINT");
    expect(await ended).toMatchObject({ signal: "SIGINT" });
  });
});
