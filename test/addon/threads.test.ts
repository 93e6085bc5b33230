// Where the system gives no more threads (ulimit -u, a container's limit): an error that says so, and nothing left behind.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { DEMO, type Ended, ROOT, start } from "./helpers.js";

// The limit counts the threads of a user, and root has none. So the children belong to a user that runs nothing else.
const USER = 61_000 + (process.pid % 4_000);
const folder = mkdtempSync(join(tmpdir(), "zstream-threads-"));
chmodSync(folder, 0o777);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Four threads are more than some machines have cores, of which the engine warns.
const NO_WARNING = "--disable-warning=ZSE_MANY_THREADS";

function underLimit(threads: number): Promise<Ended> {
  const script = join(ROOT, "test", "addon", "children", "few-threads.mjs");
  const words = ["--reuid", `${USER}`, "--regid", `${USER}`, "--clear-groups", "prlimit", `--nproc=${threads}`, process.execPath];
  const { child, ended } = start([...words, NO_WARNING, script, folder, DEMO], {
    program: "setpriv",
    env: { ...process.env, HOME: folder },
  });
  child.stdin?.end();
  return ended;
}

const reads = spawnSync("setpriv", ["--reuid", `${USER}`, "--regid", `${USER}`, "--clear-groups", process.execPath, "-p", "1"], {
  cwd: ROOT,
});
const canLimit = process.platform === "linux" && reads.status === 0 && spawnSync("prlimit", ["--version"]).status === 0;

// Needs root (to be another user), setpriv and prlimit, both of util-linux.
test.runIf(canLimit)("a limit on threads is ENGINE_FAILED that names threads, whatever wanted one; nothing stays behind", async () => {
  const codes = new Set<string>();
  let done = 0;
  // Node itself wants seven to eleven, and without them it aborts before it runs anything.
  for (let limit = 8; limit <= 24 && done < 2; limit++) {
    const { code, signal, stdout, stderr } = await underLimit(limit);
    if (!stdout.startsWith("begun\n") && signal === "SIGABRT") continue; // Node's own start
    expect({ limit, code, signal, stderr }).toEqual({ limit, code: 0, signal: null, stderr: "" });
    const { opened, answered, converted, left } = JSON.parse(stdout.slice("begun\n".length));
    for (const [what, message] of [opened, answered, converted]) {
      codes.add(what);
      if (what !== "done")
        expect({ limit, what, message }).toMatchObject({ what: "ENGINE_FAILED", message: expect.stringMatching(/threads/) });
    }
    expect({ limit, left }).toEqual({ limit, left: 0 });
    if (opened[0] === "done" && answered[0] === "done" && converted[0] === "done") done++;
  }
  expect([...codes].sort()).toEqual(["ENGINE_FAILED", "done"]);
  expect(done).toBe(2);
});
