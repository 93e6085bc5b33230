// A model of the hub comes whole, checked and once into the cache folder that other tools share, and nothing else comes anywhere.

import { mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { bytesOf, DEMO, filesBelow, REPO, rejection, worlds } from "./helpers.js";
import { COMMIT, gitSha1, sha256 } from "./hostile-hub.js";

const world = worlds();
const FOLDER = "hub/models--org--demo-GGUF";
const Q8 = `hf:${REPO}:Q8_0`;

describe("what is fetched", () => {
  test("lies as Hugging Face's tools have it: blob by checksum, relative link in the snapshot, ref", async () => {
    const { pull, home } = world.now;
    const { path, ...rest } = await pull(Q8);
    expect(path).toBe(join(home, FOLDER, "snapshots", COMMIT, "demo-Q8_0.gguf"));
    expect(rest).toEqual({ repo: REPO, commit: COMMIT, quant: "Q8_0", bytes: DEMO.length, files: [path], fetched: true });
    expect(readFileSync(path).equals(DEMO)).toBe(true);
    expect(readlinkSync(path)).toBe(join("..", "..", "blobs", sha256(DEMO)));
    expect(readFileSync(join(home, FOLDER, "refs", "main"), "utf8")).toBe(COMMIT); // no newline: others compare it as it is
    expect(filesBelow(home)).toEqual([
      `${FOLDER}/blobs/${sha256(DEMO)}`,
      `${FOLDER}/refs/main`,
      `${FOLDER}/snapshots/${COMMIT}/demo-Q8_0.gguf`,
    ]);
  });
  test("is there afterwards without a request, by quantization, by file, and by nothing", async () => {
    const { pull, hub } = world.now;
    const { path } = await pull(Q8);
    hub.requests.length = 0;
    for (const reference of [Q8, `hf:${REPO}`, `hf:${REPO}/demo-Q8_0.gguf`, `hf:${REPO}@${COMMIT}:q8_0`, `hf:${REPO}@main`]) {
      expect(await pull(reference)).toMatchObject({ path, fetched: false });
    }
    expect(hub.requests).toEqual([]);
  });
  test("is found where another tool has put it: as a link, or as the file itself", async () => {
    const { pull, hub, home } = world.now;
    const snapshot = join(home, FOLDER, "snapshots", COMMIT);
    mkdirSync(join(snapshot, "sub"), { recursive: true });
    mkdirSync(join(home, FOLDER, "blobs"));
    mkdirSync(join(home, FOLDER, "refs"));
    writeFileSync(join(home, FOLDER, "refs", "main"), `${COMMIT}\n`);
    writeFileSync(join(home, FOLDER, "blobs", sha256(DEMO)), DEMO);
    symlinkSync(join("..", "..", "..", "blobs", sha256(DEMO)), join(snapshot, "sub", "a-Q4_0.gguf"));
    writeFileSync(join(snapshot, "b-Q5_0.gguf"), DEMO);
    expect((await pull(`hf:${REPO}:Q4_0`)).path).toBe(join(snapshot, "sub", "a-Q4_0.gguf"));
    expect((await pull(`hf:${REPO}:Q5_0`)).path).toBe(join(snapshot, "b-Q5_0.gguf"));
    expect(hub.requests).toEqual([]);
  });
  test("a blob that is there already, under another name or commit, is not fetched again", async () => {
    const { pull, hub } = world.now;
    await pull(Q8);
    hub.add(REPO, "other-Q4_0.gguf", DEMO);
    hub.requests.length = 0;
    expect(readFileSync((await pull(`hf:${REPO}:Q4_0`)).path).equals(DEMO)).toBe(true);
    expect(hub.fetches).toEqual([]);
  });
  test("a blob that somebody has cut short is put right when the hub is asked", async () => {
    const { pull, home } = world.now;
    const { path } = await pull(Q8);
    writeFileSync(join(home, FOLDER, "blobs", sha256(DEMO)), DEMO.subarray(0, 100)); // cut short by somebody
    expect(statSync(path).size).toBe(100);
    expect(await pull(Q8, { update: true })).toMatchObject({ fetched: true });
    expect(readFileSync(path).equals(DEMO)).toBe(true);
  });
  test("a newer commit is fetched when it is asked for, and not before", async () => {
    const { pull, hub } = world.now;
    await pull(Q8);
    const newer = "f".repeat(40);
    const content = bytesOf(5000);
    hub.commits.set(REPO, newer);
    hub.add(REPO, "demo-Q8_0.gguf", content);
    expect((await pull(Q8)).commit).toBe(COMMIT);
    const updated = await pull(Q8, { update: true });
    expect(updated).toMatchObject({ commit: newer, fetched: true });
    expect(readFileSync(updated.path).equals(content)).toBe(true);
    expect((await pull(Q8)).commit).toBe(newer);
    expect((await pull(`hf:${REPO}@${COMMIT}:Q8_0`)).commit).toBe(COMMIT);
  });
  test("all parts of a split model come, and the first is opened", async () => {
    const { pull, hub, home } = world.now;
    const parts = [1, 2, 3].map((part) => ({
      name: `Q4_K_M/big-Q4_K_M-0000${part}-of-00003.gguf`,
      content: bytesOf(100_000 + part, part),
    }));
    for (const { name, content } of [...parts].reverse()) hub.add(REPO, name, content);
    const { path, files, bytes } = await pull(`hf:${REPO}:Q4_K_M`);
    expect(files.map((file) => readFileSync(file))).toEqual(parts.map(({ content }) => content));
    expect(path).toBe(files[0]);
    expect(path).toMatch(/Q4_K_M[\\/]big-Q4_K_M-00001-of-00003\.gguf$/);
    expect(bytes).toBe(300_006);
    expect(readlinkSync(path)).toBe(join("..", "..", "..", "blobs", sha256(parts[0]!.content)));
    hub.requests.length = 0;
    expect(await pull(`hf:${REPO}/${parts[1]!.name}`)).toMatchObject({ path, fetched: false });
    expect(hub.requests).toEqual([]);
    expect(filesBelow(home).filter((one) => one.includes("incomplete") || one.includes(".lock"))).toEqual([]);
  });
  test("a small file is checked by git's own checksum", async () => {
    const { pull, hub, home } = world.now;
    const content = bytesOf(1000);
    hub.add(REPO, "tiny-Q4_0.gguf", { content, small: true });
    await pull(`hf:${REPO}:Q4_0`);
    expect(filesBelow(home)).toContain(`${FOLDER}/blobs/${gitSha1(content)}`);
  });
});

describe("how it is told", () => {
  test("bytes rise to the whole, over all files of the model", async () => {
    const { pull, hub, events } = world.now;
    hub.add(REPO, "s-Q4_0-00001-of-00002.gguf", bytesOf(1_000_000, 1));
    hub.add(REPO, "s-Q4_0-00002-of-00002.gguf", bytesOf(500_000, 2));
    await pull(`hf:${REPO}:Q4_0`);
    const received = events.flatMap((event) => (event.type === "download" ? [event.receivedBytes] : []));
    expect(received).toEqual([...received].sort((a, b) => a - b));
    expect(received.at(-1)).toBe(1_500_000);
    expect(events.at(-1)).toEqual({
      type: "download",
      file: "s-Q4_0-00002-of-00002.gguf",
      receivedBytes: 1_500_000,
      totalBytes: 1_500_000,
      shared: false,
    });
  });
  test("the choice of a quantization is told with its reason, where none was named", async () => {
    const { pull, hub, events } = world.now;
    hub.add(REPO, "demo-Q4_K_M.gguf", bytesOf(2_000_000));
    const { quant } = await pull(`hf:${REPO}`, { memory: { total: 2 ** 34, available: 2 ** 34 } });
    expect(quant).toBe("Q8_0");
    expect(events[0]).toEqual({
      type: "chosen",
      file: "demo-Q8_0.gguf",
      quant: "Q8_0",
      bytes: DEMO.length,
      because: "Q8_0, 2.9 MiB: the best that takes at most half of the 14.0 GiB of memory there are",
    });
  });
});

describe("a pull that is given up", () => {
  test("ends with the signal's reason, and what is there is kept for the next one", async () => {
    const { pull, hub, home } = world.now;
    const stop = new AbortController();
    const content = bytesOf(3_000_000);
    hub.add(REPO, "slow-Q4_0.gguf", content);
    hub.hostile = ({ at }, response, content) => {
      if (at !== "storage") return false;
      response.writeHead(200, { "content-length": content!.length }).write(content!.subarray(0, 1_000_000));
      return true;
    };
    const reason = new Error("somebody left");
    const onEvent = (event: { type: string; receivedBytes?: number }) => {
      if (event.type === "download" && event.receivedBytes! > 0) stop.abort(reason);
    };
    expect(await rejection(pull(`hf:${REPO}:Q4_0`, { signal: stop.signal, onEvent }))).toBe(reason);
    const partial = join(home, FOLDER, "blobs", `${sha256(content)}.zse.incomplete`);
    const { size } = statSync(partial);
    expect(size).toBeGreaterThan(0);
    expect(filesBelow(home).filter((one) => one.endsWith(".lock"))).toEqual([]);
    hub.hostile = () => false;
    hub.requests.length = 0;
    expect(readFileSync((await pull(`hf:${REPO}:Q4_0`)).path).equals(content)).toBe(true);
    expect(hub.fetches.map(({ headers }) => headers.range)).toEqual([`bytes=${size}-`, `bytes=${size}-`]);
    expect(dirname(partial)).toBe(join(home, FOLDER, "blobs"));
  });
  test("before it begins asks for nothing", async () => {
    const { pull, hub } = world.now;
    expect(await rejection(pull(Q8, { signal: AbortSignal.abort("no") }))).toBe("no");
    expect(hub.requests).toEqual([]);
  });
});

describe("HF_HUB_OFFLINE", () => {
  const offline = () => ({ settings: { ...world.now.settings, offline: true } });
  test("makes no request, and says what is missing", async () => {
    const { pull, hub } = world.now;
    expect(await rejection(pull(Q8, offline()))).toMatchObject({
      code: "MODEL_NOT_FOUND",
      message: expect.stringContaining("HF_HUB_OFFLINE"),
    });
    expect(await rejection(pull(Q8, { ...offline(), update: true }))).toMatchObject({ code: "MODEL_NOT_FOUND" });
    expect(hub.requests).toEqual([]);
  });
  test("finds what is there, of an older commit too", async () => {
    const { pull, hub } = world.now;
    await pull(Q8);
    hub.commits.set(REPO, "e".repeat(40));
    hub.repos.get(REPO)!.clear();
    hub.add(REPO, "other-Q4_0.gguf", bytesOf(5000));
    await pull(`hf:${REPO}:Q4_0`); // main has gone on
    hub.requests.length = 0;
    expect(await pull(Q8, offline())).toMatchObject({ commit: COMMIT });
    expect(await pull(Q8, { ...offline(), update: true })).toMatchObject({ commit: COMMIT });
    expect(hub.requests).toEqual([]);
    // What is another branch's is not what main was.
    mkdirSync(join(world.now.home, FOLDER, "refs", "team"));
    writeFileSync(join(world.now.home, FOLDER, "refs", "team", "dev"), COMMIT);
    expect(await rejection(pull(Q8, offline()))).toMatchObject({ code: "MODEL_NOT_FOUND" });
    expect(await pull(`hf:${REPO}@team%2Fdev:Q8_0`, offline())).toMatchObject({ commit: COMMIT });
  });
});
