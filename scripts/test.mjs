// Owns `npm test`: sets up a fresh clone, then runs every suite that this machine can run and sums them up in one line.
// The sanitizer builds of the C++ tests are .ci/run's (npm run test:asan, npm run test:tsan).
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { runGgmlTests } from "./ggml-tests.mjs";
import { runNativeTests } from "./native-tests.mjs";
import { root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";
import { setUp } from "./setup.mjs";

await main(async () => {
  await setUp();
  const total = { passed: 0, failed: 0, skipped: 0 };
  // The longest suite last: what failed in it is then at the end of the output.
  for (const [title, run] of [
    ["Public types", typecheck],
    ["C++: the core against a fake decoder", () => runNativeTests()],
    ["C++: our patches to ggml against its reference", () => runGgmlTests()],
    ["TypeScript: units, then the addon on the demo model, HTTP clients, a browser", vitest],
  ]) {
    console.log(`\n── ${title}`);
    const counts = attempt(run);
    for (const key of Object.keys(total)) total[key] += counts[key] ?? 0;
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}`);
  process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
});

/** A suite that cannot start is one failure; the others still run. */
function attempt(run) {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.log(`zstream: ${error.message}`);
    return { passed: 0, failed: 1 };
  }
}

function vitest() {
  const scratch = mkdtempSync(join(tmpdir(), "zstream-test-"));
  const report = join(scratch, "vitest.json");
  const args = ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...process.argv.slice(2)];
  try {
    const result = node("vitest", "vitest.mjs", args);
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(readFileSync(report, "utf8"));
    // A file that does not load holds no tests, and an error outside every test fails the run: each counts as one failure.
    const broken = testResults.filter(
      (file) => file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
    );
    const failed = numFailedTests + broken.length;
    explainSkips(testResults);
    nameFailures(testResults, broken);
    return { passed: numPassedTests, failed: result.status !== 0 ? Math.max(failed, 1) : failed, skipped: numPendingTests + numTodoTests };
  } catch (error) {
    throw new SetupError(`vitest left no report (${error.message}): see its output above.`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Names what failed once more: the reasons are far above. `broken`: files that failed outside their tests. */
function nameFailures(testResults, broken) {
  for (const { name, assertionResults } of testResults)
    for (const { status, fullName, failureMessages } of assertionResults)
      if (status === "failed") console.log(`failed: ${relative(root, name)}: ${fullName}: ${firstLine(failureMessages[0])}`);
  for (const { name, message } of broken) console.log(`failed: ${relative(root, name)}: ${firstLine(message)}`);
}

function firstLine(text = "") {
  return stripVTControlCharacters(text).split("\n")[0];
}

/** Says what was left out and how to have it. */
function explainSkips(testResults) {
  for (const { name, assertionResults } of testResults) {
    const skipped = assertionResults.filter(({ status }) => status === "pending" || status === "skipped" || status === "todo").length;
    if (skipped === 0) continue;
    const file = relative(root, name);
    const how = file.startsWith(join("test", "browser"))
      ? "no Chromium was found (Debian: apt-get install chromium)"
      : "the reason is in the output above, or in the file";
    console.log(`skipped: ${skipped} tests of ${file}: ${how}`);
  }
}

function typecheck() {
  const { status } = node("typescript", "bin/tsc", ["--noEmit"]);
  console.log(status === 0 ? "tsc: no errors" : "tsc: errors, see above");
  return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1 };
}

function node(packageName, bin, args) {
  const script = join(createRequire(import.meta.url).resolve(`${packageName}/package.json`), "..", bin);
  return spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
}
