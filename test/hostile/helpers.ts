// What the hostile tests share: children that say one line of JSON for each attack, so that the one that kills is known.

import { join } from "node:path";
import { start } from "../addon/helpers.js";

export type Line = Record<string, unknown> & { name?: string; begins?: boolean; done?: boolean };

/** Runs test/hostile/children/<name>.mjs; fails, with the attack that was under way, when it does not live to its end. */
export async function survives(name: string, args: string[] = [], timeoutMs = 240_000): Promise<Line[]> {
  const script = join(import.meta.dirname, "children", `${name}.mjs`);
  const { child, ended } = start([script, ...args], { timeoutMs });
  child.stdin?.end();
  const { stdout, stderr, code, signal } = await ended;
  const lines = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Line);
  if (code !== 0 || !lines.at(-1)?.done) {
    const last = lines.filter((line) => line.begins).at(-1)?.name ?? "its beginning";
    throw new Error(`${name}.mjs died at "${last}" (exit ${code}, ${signal}):\n${stderr.slice(-2000)}`);
  }
  return lines.filter((line) => !line.begins);
}
