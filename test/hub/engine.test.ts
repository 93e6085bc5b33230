// new ZSE("hf:…"): the calls that wait for a model that is fetched, what is told meanwhile, and closing in the middle of it.

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pull, ZSE } from "../../lib/index.js";
import type { EngineOptions, LoadEvent } from "../../lib/types.js";
import { ask, buildLibrary, readAll, until } from "../addon/helpers.js";
// @ts-expect-error: plain JavaScript, shared with children
import * as gguf from "../hostile/gguf.mjs";
import { bytesOf, DEMO, filesBelow, REPO, ROOT, rejection, worlds } from "./helpers.js";
import { COMMIT, refuse } from "./hostile-hub.js";

const world = worlds();
const Q8 = `hf:${REPO}:Q8_0`;
const NAMES = ["HF_HOME", "HF_ENDPOINT", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT"];
let before: Record<string, string | undefined> = {};
const open: ZSE[] = [];

beforeEach(() => {
  before = Object.fromEntries(NAMES.map((name) => [name, process.env[name]]));
  for (const name of NAMES) delete process.env[name];
  Object.assign(process.env, world.now.environment);
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close()));
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

function openModel(reference: string | URL = Q8, options: EngineOptions = {}): ZSE {
  const model = new ZSE(reference, { contextSize: 512, threads: 1, ...options });
  open.push(model);
  return model;
}

/** Holds the file back until it is told otherwise. */
function heldBack(): () => void {
  let letGo = () => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  world.now.hub.hostile = ({ at }, response, content) => {
    if (at !== "storage") return false;
    response.writeHead(200, { "content-length": content!.length }).write(content!.subarray(0, 500_000));
    void gone.then(() => response.end(content!.subarray(500_000)));
    return true;
  };
  return letGo;
}

describe("a model of Hugging Face", () => {
  test("is fetched, opened, and speaks as the same file does", async () => {
    const model = openModel();
    expect(model.path).toBe(Q8);
    const options = { temperature: 0, maxTokens: 20 };
    const text = await readAll(model.chatStream(ask("Tell me a story"), options));
    expect(model.path).toBe(join(world.now.home, "hub/models--org--demo-GGUF/snapshots", COMMIT, "demo-Q8_0.gguf"));
    const same = openModel(model.path);
    expect(text).toEqual(await readAll(same.chatStream(ask("Tell me a story"), options)));
    expect(model.info).toMatchObject({ path: model.path });
  });
  test("is opened by a URL, too, and the second time without a request", async () => {
    await openModel(new URL(Q8)).ready;
    world.now.hub.requests.length = 0;
    await openModel().ready;
    expect(world.now.hub.requests).toEqual([]);
  });
  test("that is split is opened by its first part, and says what the whole says", async () => {
    const parts = [1, 2].map((part) => join(world.now.home, `split-Q4_0-0000${part}-of-00002.gguf`));
    gguf.splitGguf(join(ROOT, "models", "demo", "demo.gguf"), ...parts);
    for (const part of parts) world.now.hub.add(REPO, `Q4_0/${basename(part)}`, readFileSync(part));
    const options = { temperature: 0, maxTokens: 20 };
    const { text } = await openModel(`hf:${REPO}:Q4_0`).chat(ask("Count from 3 to 9"), options);
    expect(text).toBe((await openModel().chat(ask("Count from 3 to 9"), options)).text);
  });
  test("may be a .zse file, by its name", async () => {
    world.now.hub.add(REPO, "demo.zse", readFileSync(join(ROOT, "models", "demo", "demo.zse")));
    expect((await openModel(`hf:${REPO}/demo.zse`).chat(ask("Hi"), { maxTokens: 3 })).usage.completionTokens).toBe(3);
  });
  test("is opened in a process of its own", async () => {
    buildLibrary();
    const model = openModel(Q8, { isolate: true });
    expect((await model.chat(ask("Hi"), { maxTokens: 3 })).usage.completionTokens).toBe(3);
  });
  test("tells how far it is, first of the download and then of the load", async () => {
    const told: [number, LoadEvent][] = [];
    await openModel(`hf:${REPO}`, { onProgress: (fraction, event) => told.push([fraction, event]) }).ready;
    const types = told.map(([, { type }]) => type);
    expect([...new Set(types)]).toEqual(["chosen", "download", "load"]);
    expect(types).toEqual([...types].sort()); // one after the other
    expect(told.filter(([, { type }]) => type === "download").at(-1)).toEqual([
      1,
      { type: "download", file: "demo-Q8_0.gguf", receivedBytes: DEMO.length, totalBytes: DEMO.length, shared: false },
    ]);
    expect(told.at(-1)).toEqual([1, { type: "load", fraction: 1 }]);
  });
  test("that is asked while it comes answers once it is there", async () => {
    const go = heldBack();
    let received = 0;
    const model = openModel(Q8, { onProgress: (_, event) => void (received = event.type === "download" ? event.receivedBytes : received) });
    const reply = model.chat(ask("Hi"), { maxTokens: 3 });
    expect(model.stats().freeSlots).toBe(0);
    await until(() => received > 0, "the download begins");
    go();
    expect((await reply).usage.completionTokens).toBe(3);
  });
  test("that cannot be had is told by ready and by every call", async () => {
    world.now.hub.hostile = (_, response) => refuse(response, 403, "GatedRepo");
    const model = openModel();
    const gated = { code: "MODEL_NOT_FOUND", message: expect.stringContaining("ask for access on its page") };
    expect(await rejection(model.chat(ask("Hi")))).toMatchObject(gated);
    expect(await rejection(model.ready)).toMatchObject(gated);
    expect(await rejection(readAll(model.chatStream(ask("Hi"))))).toMatchObject(gated);
    await model.close();
    expect(await rejection(model.chat(ask("Hi")))).toMatchObject({ code: "CLOSED" });
  });
  test("whose file is no model is BAD_MODEL", async () => {
    world.now.hub.add(REPO, "broken-Q4_0.gguf", bytesOf(10_000));
    expect(await rejection(openModel(`hf:${REPO}:Q4_0`).ready)).toMatchObject({ code: "BAD_MODEL" });
  });
});

describe("close()", () => {
  test("during the download ends it, and what is there is kept", async () => {
    heldBack();
    let received = 0;
    const model = openModel(Q8, { onProgress: (_, event) => void (received = event.type === "download" ? event.receivedBytes : received) });
    const reply = rejection(model.chat(ask("Hi")));
    await until(() => received > 0, "the download begins");
    await model.close();
    expect(await reply).toMatchObject({ code: "CLOSED" });
    expect(await rejection(model.ready)).toMatchObject({ code: "CLOSED" });
    expect(filesBelow(world.now.home).map((path) => path.replace(/.*\./, "."))).toEqual([".incomplete"]); // no lock
    await until(() => world.now.hub.requests.length > 0, "it was asked");
  });
  test("at once, and twice, is closed", async () => {
    const model = openModel();
    await Promise.all([model.close(), model.close()]);
    expect(await rejection(model.ready)).toMatchObject({ code: "CLOSED" });
  });
  test("while it waits to try again ends the wait", async () => {
    world.now.hub.hostile = (_, response) => refuse(response, 429, "", { "retry-after": "100" });
    let retries = 0;
    const model = openModel(Q8, { onProgress: (_, { type }) => void (retries += type === "retry" ? 1 : 0) });
    await until(() => retries > 0, "it waits");
    await model.close();
  });
});

describe("what is wrong at once", () => {
  test.each([
    ["hf:", "path"],
    ["hf:org", "path"],
    ["hf:org/repo/", "path"],
    ["hf:org/repo:", "path"],
    ["hf:org/repo@:Q4", "path"],
    ["hf:../../etc:Q4", "path"],
    ["hf:org/repo/../../x.gguf", "path"],
    ["hf:org/repo/readme.md", "path"],
    ["hf:org/repo@a%2F..%2Fb", "path"],
    ["hf:org/repo@%", "path"],
  ])("%s is BAD_OPTION before anything is asked", (reference, option) => {
    expect(() => new ZSE(reference)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
    expect(world.now.hub.requests).toEqual([]);
  });
  test.each([
    ["HF_ENDPOINT", "ftp://x"],
    ["HF_ENDPOINT", "nowhere"],
    ["HF_HUB_DOWNLOAD_TIMEOUT", "soon"],
    ["HF_TOKEN", "two words"],
  ])("%s=%s is BAD_OPTION that names the variable", (name, value) => {
    process.env[name] = value;
    expect(() => new ZSE(Q8)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option: name }));
  });
});

describe("pull()", () => {
  test("gives the file without opening it", async () => {
    const shares: number[] = [];
    const { path, fetched } = await pull(Q8, { onProgress: (fraction) => void shares.push(fraction) });
    expect(readFileSync(path).equals(DEMO)).toBe(true);
    expect(fetched).toBe(true);
    expect(shares.at(-1)).toBe(1);
    expect(await pull(new URL(Q8), { update: true })).toMatchObject({ path, fetched: false });
  });
  test("ends with the signal's own reason", async () => {
    heldBack();
    const stop = new AbortController();
    const reason = { any: "thing" };
    const pulling = rejection(pull(Q8, { signal: stop.signal, onProgress: () => stop.abort(reason) }));
    expect(await pulling).toBe(reason);
    expect(await rejection(pull(Q8, { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
  test("ends with what onProgress throws, at the first byte or the last", async () => {
    for (const share of [0, 1]) {
      const thrown = new TypeError("mine");
      const onProgress = (fraction: number) => {
        if (fraction >= share) throw thrown;
      };
      expect(await rejection(pull(Q8, { onProgress }))).toBe(thrown);
    }
    expect(world.now.hub.fetches.length).toBeLessThanOrEqual(4);
  });
  test("refuses what is no reference, and options that it has not", async () => {
    for (const reference of ["demo.gguf", "", 7, null, undefined, {}, "org/repo:Q4_0"]) {
      expect(await rejection(pull(reference as never))).toMatchObject({ code: "BAD_OPTION", option: "path" });
    }
    expect(await rejection(pull(Q8, { signals: 1 } as never))).toMatchObject({ code: "BAD_OPTION", option: "signals" });
    expect(await rejection(pull(Q8, { signal: {} } as never))).toMatchObject({ code: "BAD_OPTION", option: "signal" });
  });
  test("sends the token that HF_TOKEN or the file of a login has", async () => {
    process.env.HF_TOKEN = "hf_abc";
    await pull(Q8);
    expect(world.now.hub.requests[0]!.headers.authorization).toBe("Bearer hf_abc");
  });
});

test("without hf: nothing is asked of any network", async () => {
  await openModel(join(import.meta.dirname, "../../models/demo/demo.gguf")).ready;
  expect(world.now.hub.requests).toEqual([]);
});
