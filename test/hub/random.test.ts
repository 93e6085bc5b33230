// Whatever mishaps follow one another, a model comes whole or not at all, and a hub that behaves again gives the rest.

import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bytesOf, filesBelow, REPO, rejection, worlds } from "./helpers.js";
import { answer, give, type Hostile, refuse, sha256 } from "./hostile-hub.js";

const world = worlds();
const seed = Number(process.env.ZSE_TEST_SEED ?? randomInt(2 ** 31));

/** mulberry32 */
function drawing(state: number): (below: number) => number {
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** One mishap in three requests. */
function mishaps(draw: (below: number) => number): Hostile {
  return ({ url, headers }, response, content) => {
    if (draw(3) > 0) return false;
    switch (draw(content === undefined ? 5 : 11)) {
      case 0:
        response.destroy();
        return true;
      case 1:
        return refuse(response, [500, 502, 503, 429, 408][draw(5)]!, "", draw(2) === 0 ? { "retry-after": "0" } : {});
      case 2:
        return answer(response, 302, { location: url });
      case 3:
        return refuse(response, [401, 403, 404][draw(3)]!, ["RepoNotFound", "GatedRepo", "EntryNotFound", ""][draw(4)]!);
      case 4:
        return answer(response, 200, {}, ["", "<html>", "[", "null", "{}"][draw(5)]);
      case 5: {
        const wrong = Buffer.from(content!);
        wrong[draw(wrong.length)]! ^= 1 << draw(8);
        give({ headers }, response, wrong);
        return true;
      }
      case 6:
        give({ headers: {} }, response, content!); // the range is not heeded
        return true;
      case 7:
        return answer(response, 416);
      case 8:
        return answer(
          response,
          206,
          { "content-range": `bytes ${draw(9)}-${draw(9)}/${draw(9)}` },
          content!.subarray(draw(content!.length)),
        );
      case 9:
        return answer(response, 200, {}, Buffer.concat([content!, Buffer.alloc(draw(2))]));
      default: {
        const from = Number(/\d+/.exec(headers.range ?? "0"));
        const head = {
          "content-length": content!.length - from,
          "content-range": `bytes ${from}-${content!.length - 1}/${content!.length}`,
        };
        const part = content!.subarray(from, from + draw(content!.length));
        response.writeHead(from > 0 ? 206 : 200, head).write(part, () => setTimeout(() => response.destroy(), draw(5)));
        return true;
      }
    }
  };
}

test(`random mishaps (ZSE_TEST_SEED=${seed})`, async () => {
  const { hub, home, pull } = world.now;
  const draw = drawing(seed);
  const outcomes = { whole: 0, failed: 0 };
  for (let round = 0; round < 40; round++) {
    const contents = Array.from({ length: 1 + draw(3) }, (_, i) => bytesOf(1 + draw(600_000), draw(200) + i));
    const name = (part: number) => `m-${round}-0000${part}-of-0000${contents.length}`;
    contents.forEach((content, i) => {
      hub.add(REPO, `${name(i + 1)}.gguf`, { content, small: draw(4) === 0 });
    });
    hub.hostile = mishaps(draw);
    for (let tries = 0; ; tries++) {
      if (tries === 3) hub.hostile = () => false;
      const result = await pull(`hf:${REPO}/${name(1)}.gguf`).catch((error: unknown) => error as { code?: string });
      if ("path" in result) {
        expect(result.files.map((file) => sha256(readFileSync(file)))).toEqual(contents.map(sha256));
        outcomes.whole += 1;
        break;
      }
      expect(result.code).toMatch(/^(?:DOWNLOAD_FAILED|MODEL_NOT_FOUND)$/);
      expect(tries).toBeLessThan(3); // a hub that behaves gives it
      outcomes.failed += 1;
    }
  }
  expect(outcomes.whole).toBe(40);
  expect(outcomes.failed).toBeGreaterThan(0);
  for (const path of filesBelow(home)) {
    expect(path).toMatch(
      /^hub\/models--org--demo-GGUF\/(?:blobs\/(?:[0-9a-f]{40}|[0-9a-f]{64})(?:\.zse\.incomplete)?|refs\/main|snapshots\/[0-9a-f]{40}\/m-\S+\.gguf)$/,
    );
  }
  hub.hostile = () => false;
  expect(await rejection(pull(`hf:${REPO}:Q9_9`))).toMatchObject({ code: "MODEL_NOT_FOUND" });
  expect(filesBelow(join(home, "hub", ".locks"))).toEqual([]);
});
