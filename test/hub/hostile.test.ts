// Whatever a hub does, a model comes whole and checked or not at all, the error says why, the token stays with the hub, and nothing is written
// outside the cache folder.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { ZSEError } from "../../lib/errors.js";
import { DEMO, filesBelow, REPO, rejection, worlds } from "./helpers.js";
import { answer, COMMIT, give, type Hostile, HostileHub, json, refuse, sha256 } from "./hostile-hub.js";

const world = worlds();
const Q8 = `hf:${REPO}:Q8_0`;
const BLOBS = "hub/models--org--demo-GGUF/blobs";

/** After whatever happened: in the home folder there is only what the layout has, and nothing that is not checked is in the model's place. */
afterEach(() => {
  const { home } = world.now;
  for (const path of filesBelow(home))
    expect(path).toMatch(
      /^hub\/models--org--[\w-]+\/(?:blobs\/[0-9a-f]+(?:\.zse\.incomplete)?|refs\/[\w/]+|snapshots\/[0-9a-f]{40}\/[\w/.-]+)$/,
    );
  for (const path of filesBelow(join(home, "hub"))) {
    const [, digest] = /\/blobs\/([0-9a-f]{64})$/.exec(path) ?? [];
    if (digest !== undefined) expect(sha256(readFileSync(join(home, "hub", path)))).toBe(digest);
  }
});

/** Answers the first so many requests for a file's bytes in this way, the rest as usual. */
function firstFetches(count: number, answer: (response: ServerResponse, content: Buffer, range: string | undefined) => void): Hostile {
  let left = count;
  return ({ at, headers }, response, content) => {
    if (at !== "storage" || left === 0) return false;
    left -= 1;
    answer(response, content!, headers.range);
    return true;
  };
}

/** Whether this user may make a small disk: root may, but in most containers. */
function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "zstream-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { stdio: "ignore" });
    execFileSync("umount", [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function comesWhole(): Promise<void> {
  expect(readFileSync((await world.now.pull(Q8)).path).equals(DEMO)).toBe(true);
}

async function fails(reference = Q8): Promise<ZSEError> {
  return (await rejection(world.now.pull(reference))) as ZSEError;
}

describe("a connection that", () => {
  test("is cut off is gone on with from where it was, again and again", async () => {
    const { hub, events } = world.now;
    hub.hostile = firstFetches(5, (response, content, range) => {
      const from = Number(/\d+/.exec(range ?? "0"));
      const part = content.subarray(from, from + 400_000);
      const head = { "content-length": content.length - from };
      if (from > 0) response.writeHead(206, { ...head, "content-range": `bytes ${from}-${content.length - 1}/${content.length}` });
      else response.writeHead(200, head);
      response.write(part, () => setTimeout(() => response.destroy(), 20));
    });
    await comesWhole();
    const ranges = hub.fetches.filter(({ at }) => at === "storage").map(({ headers }) => Number(/\d+/.exec(headers.range ?? "0")));
    expect(ranges).toHaveLength(6);
    expect(ranges).toEqual([...ranges].sort((a, b) => a - b));
    expect(ranges.at(-1)).toBeGreaterThan(1_000_000);
    expect(events.filter(({ type }) => type === "retry")).toHaveLength(5);
  });
  test("falls silent counts as broken", async () => {
    world.now.hub.hostile = firstFetches(1, (response, content) => {
      response.writeHead(200, { "content-length": content.length }).write(content.subarray(0, 700_000));
    });
    await comesWhole();
    expect(world.now.events).toContainEqual({
      type: "retry",
      inMs: expect.any(Number),
      because: expect.stringContaining("nothing came for 0.5 s"),
    });
  });
  test("never answers counts as broken, and is told after some tries", async () => {
    const settings = { ...world.now.settings, silenceMs: 50 };
    world.now.hub.hostile = () => true;
    expect(await rejection(world.now.pull(Q8, { settings }))).toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringContaining("nothing came"),
    });
    expect(world.now.hub.requests).toHaveLength(6);
  });
  test("gives its head byte by byte counts as broken", async () => {
    const settings = { ...world.now.settings, silenceMs: 100 };
    const timers: NodeJS.Timeout[] = [];
    world.now.hub.hostile = firstFetches(1, (response) => {
      response.socket!.write("HTTP/1.1 200 OK\r\n");
      timers.push(setInterval(() => response.socket?.write("x"), 20));
    });
    expect(await world.now.pull(Q8, { settings })).toMatchObject({ fetched: true });
    for (const timer of timers) clearInterval(timer);
  });
  test("is slow is waited for", async () => {
    world.now.hub.hostile = firstFetches(1, (response, content) => {
      response.writeHead(200, { "content-length": content.length });
      let at = 0;
      const next = () => {
        response.write(content.subarray(at, (at += 300_000)));
        if (at < content.length) setTimeout(next, 30);
        else response.end();
      };
      next();
    });
    await comesWhole();
    expect(world.now.events.filter(({ type }) => type === "retry")).toEqual([]);
  });
  test("gives a few bytes now and then is as good as silent", async () => {
    const settings = { ...world.now.settings, silenceMs: 50 };
    const timers: NodeJS.Timeout[] = [];
    world.now.hub.hostile = firstFetches(99, (response, content, range) => {
      const from = Number(/\d+/.exec(range ?? "0"));
      const head = { "content-length": content.length - from, "content-range": `bytes ${from}-${content.length - 1}/${content.length}` };
      response.writeHead(from > 0 ? 206 : 200, head);
      let at = from;
      timers.push(setInterval(() => response.write(content.subarray(at, ++at)), 10));
      response.on("close", () => clearInterval(timers.at(-1)));
    });
    const error = await rejection(world.now.pull(Q8, { settings }));
    expect(error).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("too slowly") });
    for (const timer of timers) clearInterval(timer);
  });
  test("cannot be made is told, with the address and without its secrets", async () => {
    const { hub, settings, pull } = world.now;
    const endpoint = new URL(`${hub.endpoint.replace("//", "//user:secret@")}/`);
    await hub.close();
    const error = await rejection(pull(Q8, { settings: { ...settings, endpoint } }));
    expect(error).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(/ECONNREFUSED.*That was try 6/) });
    expect(error.message).toContain(endpoint.host);
    expect(error.message).not.toContain("secret");
    world.now.hub = await HostileHub.open(); // for the end of the test
  });
  test("gives up each time after a few bytes is told, not tried for ever", async () => {
    world.now.hub.hostile = firstFetches(1000, (response, content, range) => {
      const from = Number(/\d+/.exec(range ?? "0"));
      const head = { "content-length": content.length - from, "content-range": `bytes ${from}-${content.length - 1}/${content.length}` };
      response
        .writeHead(from > 0 ? 206 : 200, head)
        .write(content.subarray(from, from + 10), () => setTimeout(() => response.destroy(), 5));
    });
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED" });
    expect(world.now.hub.fetches.length).toBeLessThan(20);
    world.now.hub.hostile = () => false;
    await comesWhole();
  });
});

describe("bytes that", () => {
  const damaged = (content: Buffer) => Buffer.concat([content.subarray(0, 1000), Buffer.from("!"), content.subarray(1001)]);
  test("are wrong once are fetched anew", async () => {
    world.now.hub.hostile = firstFetches(1, (response, content) => give({ headers: {} }, response, damaged(content)));
    await comesWhole();
  });
  test("are wrong again are refused, and nothing of them stays", async () => {
    world.now.hub.hostile = firstFetches(99, (response, content) => give({ headers: {} }, response, damaged(content)));
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("checksum") });
    expect(statSync(join(world.now.home, BLOBS, `${sha256(DEMO)}.zse.incomplete`)).size).toBe(0);
    world.now.hub.hostile = () => false;
    await comesWhole();
  });
  test("an earlier try left, and are wrong, are found out and fetched anew", async () => {
    mkdirSync(join(world.now.home, BLOBS), { recursive: true });
    writeFileSync(join(world.now.home, BLOBS, `${sha256(DEMO)}.zse.incomplete`), Buffer.alloc(1_000_000));
    await comesWhole();
    expect(world.now.hub.fetches.filter(({ at }) => at === "storage").map(({ headers }) => headers.range)).toEqual([
      "bytes=1000000-",
      undefined,
    ]);
  });
  test("an earlier try left, and are too many, are fetched anew", async () => {
    mkdirSync(join(world.now.home, BLOBS), { recursive: true });
    writeFileSync(join(world.now.home, BLOBS, `${sha256(DEMO)}.zse.incomplete`), Buffer.alloc(DEMO.length + 1));
    await comesWhole();
  });
  test("an earlier try left, and are all of it, take no request", async () => {
    mkdirSync(join(world.now.home, BLOBS), { recursive: true });
    writeFileSync(join(world.now.home, BLOBS, `${sha256(DEMO)}.zse.incomplete`), DEMO);
    await comesWhole();
    expect(world.now.hub.fetches).toEqual([]);
  });
  test.each([
    [
      "fewer, by their head",
      (response: ServerResponse, content: Buffer) =>
        void response.writeHead(200, { "content-length": 1000 }).end(content.subarray(0, 1000)),
    ],
    [
      "more, by their head",
      (response: ServerResponse) => void response.writeHead(200, { "content-length": DEMO.length + 1 }).end(Buffer.alloc(DEMO.length + 1)),
    ],
    ["more, without a head that says so", (response: ServerResponse) => void response.writeHead(200).end(Buffer.alloc(DEMO.length + 1))],
  ])("are %s are refused at once", async (_, answer) => {
    world.now.hub.hostile = firstFetches(99, answer);
    expect(await fails()).toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringContaining(`has ${DEMO.length} bytes by the list of files`),
    });
    expect(world.now.hub.fetches.filter(({ at }) => at === "storage")).toHaveLength(1);
  });
  test("come in a coding that nobody asked for are refused", async () => {
    world.now.hub.hostile = firstFetches(
      99,
      (response, content) => void response.writeHead(200, { "content-encoding": "gzip" }).end(content),
    );
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining('"gzip"') });
  });
  test("end early without a head that says how many are gone on with", async () => {
    world.now.hub.hostile = firstFetches(1, (response, content) => void response.writeHead(200).end(content.subarray(0, 500_000)));
    await comesWhole();
  });
});

describe("a range that", () => {
  const half = () => {
    mkdirSync(join(world.now.home, BLOBS), { recursive: true });
    writeFileSync(join(world.now.home, BLOBS, `${sha256(DEMO)}.zse.incomplete`), DEMO.subarray(0, 1_500_000));
  };
  test("is not heeded gives the whole file, which is taken from its beginning", async () => {
    half();
    world.now.hub.hostile = firstFetches(99, (response, content) => give({ headers: {} }, response, content));
    await comesWhole();
  });
  test("is refused leads to the whole file", async () => {
    half();
    world.now.hub.hostile = firstFetches(1, (response) => void response.writeHead(416).end());
    await comesWhole();
  });
  test("is answered with another part is refused", async () => {
    half();
    world.now.hub.hostile = firstFetches(99, (response, content) => {
      response.writeHead(206, { "content-range": `bytes 0-${content.length - 1}/${content.length}` }).end(content);
    });
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("another part") });
  });
  test("is of a file of another length is refused", async () => {
    half();
    world.now.hub.hostile = firstFetches(99, (response, content) => {
      response
        .writeHead(206, { "content-range": `bytes 1500000-${content.length}/${content.length + 1}` })
        .end(content.subarray(1_500_000));
    });
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("by the list of files") });
  });
});

describe("an answer of", () => {
  const always =
    (status: number, code: string, more: Record<string, string> = {}): Hostile =>
    (_, response) => {
      refuse(response, status, code, more);
      return true;
    };
  test.each([
    [401, "RepoNotFound", "There is no hf:org/demo-GGUF on the hub (401)"],
    [404, "RepoNotFound", "There is no hf:org/demo-GGUF on the hub (404)"],
    [404, "", "There is no hf:org/demo-GGUF on the hub (404)"],
    [404, "RevisionNotFound", "has no such revision"],
    [401, "", "It wants a token: set HF_TOKEN"],
    [
      401,
      "GatedRepo",
      "is gated: ask for access on its page, and set HF_TOKEN to a token of that account (https://huggingface.co/org/demo-GGUF)",
    ],
    [403, "GatedRepo", "is gated"],
    [403, "", "is gated"],
  ])("%i %s is MODEL_NOT_FOUND, at once, and says what to do", async (status, code, message) => {
    world.now.hub.hostile = always(status, code);
    expect(await fails()).toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringContaining(message) });
    expect(world.now.hub.requests).toHaveLength(1);
  });
  test("401 or 403 to a token says so, and does not tell the token", async () => {
    const settings = { ...world.now.settings, token: "hf_secret" };
    for (const [status, code, message] of [
      [401, "", "The token was refused"],
      [403, "GatedRepo", "with the account of your token"],
    ] as const) {
      world.now.hub.hostile = always(status, code);
      const error = await rejection(world.now.pull(Q8, { settings }));
      expect(error.message).toContain(message);
      expect(error.message).not.toContain("secret");
    }
  });
  test("404 for the file alone, which is listed, is MODEL_NOT_FOUND", async () => {
    world.now.hub.hostile = ({ url }, response) => url.includes("/resolve/") && refuse(response, 404, "EntryNotFound");
    expect(await fails()).toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringContaining("demo-Q8_0.gguf") });
  });
  test.each([500, 502, 503, 504, 408, 429])("%i is tried again", async (status) => {
    let left = 2;
    world.now.hub.hostile = (_, response) => left-- > 0 && refuse(response, status, "");
    await comesWhole();
    left = Number.POSITIVE_INFINITY;
    rmSync(join(world.now.home, "hub"), { recursive: true });
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining(`(${status}). That was try 6.`) });
  });
  test("429 with retry-after is waited for so long", async () => {
    let left = 1;
    world.now.hub.hostile = (_, response) => left-- > 0 && refuse(response, 429, "", { "retry-after": "1" });
    await comesWhole();
    const waits = world.now.events.flatMap((event) => (event.type === "retry" ? [event.inMs] : []));
    expect(waits).toEqual([1000]);
  });
  test("429 with what is left of the hub's window is waited for so long", async () => {
    let left = 1;
    world.now.hub.hostile = (_, response) => left-- > 0 && refuse(response, 429, "", { ratelimit: '"api";r=0;t=1' });
    await comesWhole();
    expect(world.now.events).toContainEqual({ type: "retry", inMs: 1000, because: expect.any(String) });
  });
  test.each(["3600", "Fri, 01 Jan 2100 00:00:00 GMT"])("429 with retry-after %s is told at once", async (after) => {
    world.now.hub.hostile = always(429, "", { "retry-after": after });
    expect(await fails()).toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringMatching(/come again later \(429\), in \d+ seconds/),
    });
    expect(world.now.hub.requests).toHaveLength(1);
  });
  test("another refusal is told with what the hub said, made fit for a terminal", async () => {
    world.now.hub.hostile = (_, response) => {
      response.writeHead(418, { "x-error-message": "tea\u0085\u009b31m only" }).end();
      return true;
    };
    const { code, message } = await fails();
    expect(code).toBe("DOWNLOAD_FAILED");
    expect(message).toContain('the hub answered 418 and said "tea 31m only"');
  });
});

describe("redirects", () => {
  test("to another host do not take the token there", async () => {
    const settings = { ...world.now.settings, token: "hf_secret" };
    await world.now.pull(Q8, { settings });
    const of = (at: string) => world.now.hub.requests.filter((one) => one.at === at).map(({ headers }) => headers.authorization);
    expect(of("hub")).toEqual(["Bearer hf_secret", "Bearer hf_secret", "Bearer hf_secret"]);
    expect(of("storage")).toEqual([undefined]);
    expect(JSON.stringify(world.now.hub.requests.filter(({ at }) => at === "storage"))).not.toContain("secret");
  });
  test("to another port or name of the same machine, and back, show the token to the hub alone", async () => {
    const { hub, settings } = world.now;
    hub.hostile = ({ at, url }, response, content) => {
      const { port } = new URL(hub.endpoint);
      // hub → the same server by another name → the hub itself
      if (at === "hub" && url.includes("/resolve/") && !url.includes("?"))
        response.writeHead(307, { location: `http://localhost:${port}${url}?second` }).end();
      else if (url.endsWith("?second")) response.writeHead(307, { location: `${hub.endpoint}${url.replace("?second", "?third")}` }).end();
      else if (url.endsWith("?third")) give({ headers: {} }, response, content ?? DEMO);
      else return false;
      return true;
    };
    await world.now.pull(Q8, { settings: { ...settings, token: "hf_secret" } });
    const tokens = hub.fetches.map(({ headers }) => [headers.host?.split(":")[0], headers.authorization]);
    expect(tokens).toEqual([
      ["127.0.0.1", "Bearer hf_secret"],
      ["localhost", undefined],
      ["127.0.0.1", "Bearer hf_secret"],
    ]);
  });
  test("of a repository that has another name now are followed", async () => {
    world.now.hub.add("org/old", "x", Buffer.alloc(1));
    world.now.hub.hostile = ({ url }, response) =>
      url.includes("org/old") && answer(response, 307, { location: url.replace("org/old", REPO) });
    expect(readFileSync((await world.now.pull("hf:org/old:Q8_0")).path).equals(DEMO)).toBe(true);
  });
  test("in a circle are told", async () => {
    world.now.hub.hostile = ({ url }, response) => answer(response, 302, { location: url });
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("in a circle") });
    expect(world.now.hub.requests).toHaveLength(11);
  });
  test.each(["file:///etc/passwd", "ftp://localhost/x", "http://", "javascript:1", undefined])("to %s are refused", async (location) => {
    world.now.hub.hostile = ({ url }, response) =>
      url.includes("/resolve/") && answer(response, 302, location === undefined ? {} : { location });
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("an address that is none") });
  });
});

describe("a list", () => {
  const listed =
    (value: unknown): Hostile =>
    ({ url }, response) =>
      url.includes("/tree/") && json(response, value);
  const entry = (path: string, more: object = {}) => ({
    type: "file",
    path,
    size: DEMO.length,
    oid: "0".repeat(40),
    lfs: { oid: sha256(DEMO), size: DEMO.length },
    ...more,
  });
  test.each([
    "../../../../evil-Q8_0.gguf",
    "/etc/evil-Q8_0.gguf",
    "a/../../../../evil-Q8_0.gguf",
    "..\\..\\evil-Q8_0.gguf",
    "C:\\evil-Q8_0.gguf",
    "a:b-Q8_0.gguf",
    "nul\u0000-Q8_0.gguf",
    "\u001b[31m-Q8_0.gguf",
    "\u202e-Q8_0.gguf",
    `${"a".repeat(300)}-Q8_0.gguf`,
    "a//b-Q8_0.gguf",
    "./b-Q8_0.gguf",
  ])("that has %j has no such file", async (path) => {
    world.now.hub.hostile = listed([entry(path)]);
    expect(await fails()).toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringContaining("nor any other") });
    expect(existsSync(join(world.now.home, "..", "evil-Q8_0.gguf"))).toBe(false);
  });
  test.each([
    ["a checksum that is a path", { lfs: { oid: "../../evil", size: 5 } }],
    ["a checksum of another length", { lfs: { oid: "ab", size: 5 } }],
    ["no checksum", { lfs: undefined, oid: undefined }],
    ["a negative size", { lfs: { oid: sha256(DEMO), size: -1 } }],
    ["a size that is no number", { lfs: { oid: sha256(DEMO), size: "5" } }],
    ["a size beyond all numbers", { lfs: { oid: sha256(DEMO), size: 1e300 } }],
    ["a folder's type", { type: "directory" }],
  ])("that tells a file with %s has no such file", async (_, more) => {
    world.now.hub.hostile = listed([entry("demo-Q8_0.gguf", more)]);
    expect(await fails()).toMatchObject({ code: "MODEL_NOT_FOUND" });
  });
  test("that tells a size that no disk has is refused before a byte is fetched", async () => {
    const size = Number.MAX_SAFE_INTEGER;
    world.now.hub.hostile = listed([entry("demo-Q8_0.gguf", { lfs: { oid: sha256(DEMO), size } })]);
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining(`needs ${size} more bytes`) });
    expect(world.now.hub.fetches).toEqual([]);
  });
  test("that tells another size than the file has is found out", async () => {
    world.now.hub.hostile = listed([entry("demo-Q8_0.gguf", { lfs: { oid: sha256(DEMO), size: DEMO.length - 1 } })]);
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED" });
  });
  test.each([
    ["no JSON", (response: ServerResponse) => answer(response, 200, {}, "<html>sign in</html>"), "is no JSON"],
    ["no list", (response: ServerResponse) => json(response, { files: [] }), "is no list"],
    ["null", (response: ServerResponse) => json(response, null), "is no list"],
    [
      "a list of anything",
      (response: ServerResponse) => json(response, [null, 7, "x", [], { type: "file" }, { type: "file", path: 7 }]),
      "nor any other",
    ],
    ["an empty list", (response: ServerResponse) => json(response, []), "nor any other"],
  ])("that is %s is refused", async (_, reply, message) => {
    world.now.hub.hostile = ({ url }, response) => url.includes("/tree/") && reply(response);
    expect((await fails()).message).toContain(message);
  });
  test("that names no commit, or one that is a path, is refused", async () => {
    for (const sha of [undefined, 7, "../../../evil", "abc"]) {
      world.now.hub.hostile = ({ url }, response) => url.includes("/revision/") && json(response, { sha });
      expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("no commit") });
    }
  });
  test("that never ends is cut off, in bytes", async () => {
    let sent = 0;
    world.now.hub.hostile = ({ url }, response) => {
      if (!url.includes("/tree/")) return false;
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(2 ** 20, " "))) sent += 1;
      };
      response.on("drain", more);
      more();
      return true;
    };
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("longer than 8388608 bytes") });
    expect(sent).toBeLessThan(100);
  });
  test("that never ends is cut off, in files", async () => {
    const one = entry("");
    const many = JSON.stringify(Array.from({ length: 30_000 }, (_, i) => ({ ...one, path: `${i}-Q8_0.gguf` })));
    world.now.hub.hostile = ({ url }, response) => url.includes("/tree/") && answer(response, 200, { link: `<${url}>; rel="next"` }, many);
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("more than 100000 of them") });
    expect(world.now.hub.requests.length).toBeLessThan(7);
  });
  test("that is nested without end is no JSON", async () => {
    world.now.hub.hostile = ({ url }, response) => url.includes("/tree/") && answer(response, 200, {}, "[".repeat(4_000_000));
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("is no JSON") });
  });
  test("that never ends is cut off, in pages", async () => {
    world.now.hub.hostile = ({ url }, response) => {
      if (!url.includes("/tree/")) return false;
      response.writeHead(200, { link: `<${url}>; rel="next"` }).end("[]");
      return true;
    };
    expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("more than 50 pages") });
  });
  test("of several pages is read to its end", async () => {
    world.now.hub.hostile = ({ url }, response) => {
      if (!url.includes("/tree/") || url.includes("cursor")) return false;
      response.writeHead(200, { link: `<${world.now.hub.endpoint}${url}&cursor=2>; rel="next"` }).end("[]");
      return true;
    };
    await comesWhole();
  });
});

describe("a disk that", () => {
  test.skipIf(!canMount())("is full is told, and what is there is kept for the next try", async () => {
    const { home, hub } = world.now;
    const blobs = join(home, BLOBS);
    mkdirSync(blobs, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", blobs]);
    try {
      writeFileSync(join(blobs, "0".repeat(40)), Buffer.alloc(2_500_000));
      // Too little from the start.
      expect(await fails()).toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining(`needs ${DEMO.length} more bytes`) });
      expect(hub.fetches).toEqual([]);
      // Somebody else fills it meanwhile.
      rmSync(join(blobs, "0".repeat(40)));
      hub.hostile = firstFetches(1, (response, content) => {
        response.writeHead(200, { "content-length": content.length }).write(content.subarray(0, 500_000), () => {
          writeFileSync(join(blobs, "1".repeat(40)), Buffer.alloc(2_500_000));
          response.end(content.subarray(500_000));
        });
      });
      const error = await fails();
      expect(error).toMatchObject({
        code: "DOWNLOAD_FAILED",
        message: expect.stringContaining("The disk is full"),
        cause: { code: "ENOSPC" },
      });
      rmSync(join(blobs, "1".repeat(40)));
      const { size } = statSync(join(blobs, `${sha256(DEMO)}.zse.incomplete`));
      expect(size).toBeGreaterThan(100_000);
      hub.requests.length = 0;
      await comesWhole();
      expect(hub.fetches[0]!.headers.range).toBe(`bytes=${size}-`);
    } finally {
      execFileSync("umount", [blobs]);
    }
  });
  test("has a file where the folder should be is told, with its path", async () => {
    writeFileSync(join(world.now.home, "x"), "");
    const settings = { ...world.now.settings, cacheFolder: join(world.now.home, "x", "hub") };
    expect(await rejection(world.now.pull(Q8, { settings }))).toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringContaining("HF_HUB_CACHE"),
    });
    rmSync(join(world.now.home, "x"));
  });
});

describe("a mirror", () => {
  test("below a path of its host is asked there", async () => {
    const mirror = await HostileHub.open({ prefix: "/mirrors/hf" });
    try {
      mirror.add(REPO, "demo-Q8_0.gguf", DEMO);
      const endpoint = new URL(`${mirror.endpoint}/`);
      await world.now.pull(Q8, { settings: { ...world.now.settings, endpoint } });
      expect(mirror.requests.filter(({ at }) => at === "hub").map(({ url }) => dirname(url).slice(0, 12))).toEqual(
        Array(3).fill("/mirrors/hf/"),
      );
      expect(world.now.hub.requests).toEqual([]);
    } finally {
      await mirror.close();
    }
  });
});

test("what is fetched is of one commit, though the hub's main goes on meanwhile", async () => {
  const { hub, pull } = world.now;
  hub.hostile = ({ url }) => {
    if (url.includes("/tree/")) hub.commits.set(REPO, "a".repeat(40));
    return false;
  };
  expect(await pull(Q8)).toMatchObject({ commit: COMMIT });
  const [asked, ...rest] = hub.requests.filter(({ at }) => at === "hub").map(({ url }) => url);
  expect(asked).toContain("/revision/main");
  for (const url of rest) expect(url).toContain(COMMIT);
});
