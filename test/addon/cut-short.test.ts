// Model files that another program cuts short while they are read: an error each time, and the process goes on.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { DEMO, ROOT, runChild } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-cut-short-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SECONDS = 6;
const seed = process.env.ZSE_TEST_SEED ?? String(Math.floor(Math.random() * 2 ** 32));
const fixture = (name: string) => join(ROOT, "test", "fixtures", "zse", `${name}.zse`);

// Where a file is open Windows lets nobody cut it.
test.skipIf(process.platform === "win32")(
  `a file that is cut short at any moment while it is opened, inspected or converted is BAD_MODEL (random, ZSE_TEST_SEED=${seed})`,
  async () => {
    const files = [DEMO, DEMO.replace(/gguf$/, "zse"), fixture("v1-llama-int4"), fixture("v2-llama-int4-tiled")];
    const { code, signal, stdout, stderr } = await runChild("cut-short", folder, seed, String(SECONDS), ...files);
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
    const told: Record<string, number> = JSON.parse(stdout);
    // "done" where the cut came too late; "refused" is what inspect says of a file that could not be opened.
    for (const what of Object.keys(told)) expect(what).toMatch(/^(open|convert): (done|BAD_MODEL)$|^inspect: (done|refused|BAD_MODEL)$/);
    for (const way of ["open", "inspect", "convert"]) expect(told[`${way}: BAD_MODEL`] ?? 0, way).toBeGreaterThan(0);
  },
);
