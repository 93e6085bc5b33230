// Owns publishing: `npm run release -- --dry-run` packs every package and shows exactly what would be published; it fails on whatever is not as it
// must be. Without --dry-run it publishes the tarballs, platforms first, so that the main package never names one that is not there.
// .github/workflows/release.yml runs it from a tag, with OIDC; nothing else can publish.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { checkAddon } from "./check-addon.mjs";
import { packAll, packageName } from "./pack.mjs";
import { root } from "./paths.mjs";
import { gpuPackages, platforms } from "./platforms.mjs";
import { prebuiltAddon } from "./prebuild.mjs";
import { main, SetupError } from "./say.mjs";

const dryRun = process.argv.includes("--dry-run");

await main(() => {
  const { version, repository } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const folder = join(root, "build", "release");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { tarballs, missing } = packAll(folder);
  const problems = missing.map((name) => `${name} was not prebuilt: its file belongs into build/prebuild/${name}`);
  for (const entry of [...platforms, ...gpuPackages].filter(({ name }) => !missing.includes(name))) {
    problems.push(...checkAddon(prebuiltAddon(entry), entry).map((problem) => `${entry.name}: ${problem}`));
  }
  if (repository.url.includes("OWNER")) problems.push("package.json's repository says OWNER: set the account");
  if (
    !new RegExp(`^## ${version.replaceAll(".", "\\.")}( \\(\\d{4}-\\d\\d-\\d\\d\\))?$`, "m").test(
      readFileSync(join(root, "CHANGELOG.md"), "utf8"),
    )
  ) {
    problems.push(`CHANGELOG.md has no section "## ${version}", or it still says unreleased`);
  }
  const tag = process.env.GITHUB_REF_NAME ?? git(["describe", "--tags", "--exact-match"]);
  if (tag !== `v${version}`) problems.push(`the commit's tag is ${tag || "none"}, where v${version} is released`);
  if (git(["status", "--porcelain"]) !== "") problems.push("the working tree is not clean");

  for (const name of [...tarballs.slice(1), tarballs[0]]) console.log(`${dryRun ? "would publish" : "publishing"} ${name}`);
  console.log(
    `the main package asks for ${platforms
      .filter(({ name }) => !missing.includes(name))
      .map(packageName)
      .join(", ")} at ${version}`,
  );
  for (const problem of problems) console.log(`NOT AS IT MUST BE  ${problem}`);
  if (problems.length > 0) throw new SetupError(`${problems.length} things are in the way of a release: see above.`);
  if (dryRun) return;
  if (!process.env.ACTIONS_ID_TOKEN_REQUEST_URL)
    throw new SetupError("only the release workflow can publish: push a tag, see docs/RELEASING.md.");
  for (const name of [...tarballs.slice(1), tarballs[0]]) {
    const { status } = spawnSync("npm", ["publish", join(folder, name), "--provenance", "--access", "public"], { stdio: "inherit" });
    if (status !== 0) throw new SetupError(`${name} could not be published: those before it are; run the workflow again after mending it.`);
  }
});

function git(args) {
  return spawnSync("git", args, { cwd: root, encoding: "utf8" }).stdout.trim();
}
