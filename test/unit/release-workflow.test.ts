// What a tag sets off (.github/workflows/release.yml), which nobody can run here: it builds every package that is published, and waits for each.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
// @ts-expect-error: no types
import { root } from "../../scripts/paths.mjs";
// @ts-expect-error: no types
import { gpuPackages, platforms } from "../../scripts/platforms.mjs";

const workflow = readFileSync(join(root, ".github", "workflows", "release.yml"), "utf8");
const named = (list: { name: string }[]) => list.map(({ name }) => name).sort();

/** The text of each job, by its name. */
const jobs = Object.fromEntries(
  [...workflow.slice(workflow.indexOf("\njobs:")).matchAll(/^ {2}([a-z]+):.*\n((?: {4}.*\n|\n)*)/gm)].map(([, name, text]) => [name, text]),
);
const builtBy = (job: string) => {
  const [, list] = /platform: \[(.*)\]/.exec(jobs[job] ?? "") ?? [];
  return list?.split(", ") ?? [...(jobs[job] ?? "").matchAll(/\{ platform: ([\w-]+),/g)].map(([, name]) => name);
};

test("every platform's package is built by one job, and every GPU's", () => {
  expect([...builtBy("cross"), ...builtBy("native")].sort()).toEqual(named(platforms));
  expect(builtBy("gpu").sort()).toEqual(named(gpuPackages));
});

test("the cross compiler builds those that have one, and what it builds for Windows is tried on Windows", () => {
  const cross = platforms.filter(({ zig }: { zig?: string }) => zig);
  expect(builtBy("cross").sort()).toEqual(named(cross));
  expect(builtBy("windows").sort()).toEqual(named(cross.filter(({ platform }: { platform: string }) => platform === "win32")));
});

test("nothing is published before each of the other jobs has passed, and then by OIDC alone", () => {
  const [, needs] = /needs: \[(.*)\]/.exec(jobs.publish ?? "") ?? [];
  expect(needs?.split(", ").sort()).toEqual(
    Object.keys(jobs)
      .filter((name) => name !== "publish")
      .sort(),
  );
  expect(jobs.publish).toContain("id-token: write");
  expect(workflow).not.toMatch(/NODE_AUTH_TOKEN|NPM_TOKEN|secrets\./);
});
