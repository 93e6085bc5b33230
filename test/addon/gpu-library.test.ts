// A GPU's library, as a package of its own brings it: found by its path alone, of the addon's very version, and its devices listed.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
// @ts-expect-error: no types
import { buildAddon } from "../../scripts/build.mjs";
// @ts-expect-error: no types
import { placesOf, root } from "../../scripts/paths.mjs";

const { addon, cmake } = placesOf();
const folder = mkdtempSync(join(tmpdir(), "zstream-gpu-"));
const fake = join(folder, "fake.gpu");
const stale = join(folder, "stale.gpu");

beforeAll(async () => {
  await buildAddon({ targets: ["zse_gpu_libraries"] });
  cpSync(join(cmake, "zse_gpu_fake.gpu"), fake);
  cpSync(join(cmake, "zse_gpu_stale.gpu"), stale);
}, 600_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** What a process of its own prints, where `addon` is loaded: a library stays loaded. */
function inProcess(program: string, env: Record<string, string> = {}, cwd = folder): { out: string; err: string; status: number | null } {
  const script = `const addon = require(${JSON.stringify(addon)}); const fake = ${JSON.stringify(fake)}, stale = ${JSON.stringify(stale)}; ${program}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--eval", script], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { out: stdout.trim(), err: stderr, status };
}
const codeOf = (path: string) =>
  inProcess(`try { addon.useGpuLibrary(${path}); console.log("taken"); } catch (error) { console.log(error.code, error.message); }`).out;

// Windows links its test programs into other folders.
describe.skipIf(process.platform === "win32")("a GPU's library", () => {
  test("brings its devices, however often it is named", () => {
    const { out } = inProcess(
      "console.log(JSON.stringify([addon.useGpuLibrary(fake), addon.useGpuLibrary(fake), addon.devices().filter(d => d.kind === 'gpu')]))",
    );
    const [first, second, devices] = JSON.parse(out);
    expect([first, second]).toEqual([1, 1]);
    expect(devices).toMatchObject([{ name: "Fake0", backend: "Fake", description: "a GPU of the tests" }]);
  });
  test("logs as the engine does: nothing unless it is asked for", () => {
    expect(inProcess("addon.useGpuLibrary(fake)").err).toBe("");
    expect(inProcess("addon.useGpuLibrary(fake)", { ZSE_LOG: "warn" }).err).toContain("the fake GPU speaks");
  });
  test("of another version is refused, with both versions named", () => {
    expect(codeOf("stale")).toMatch(/^UNSUPPORTED .*made for zStream 0\.0\.1, and this is .*install the same version/);
  });
  test("that is none, or is not there, is refused by name", () => {
    writeFileSync(join(folder, "text.gpu"), "no library");
    expect(codeOf(JSON.stringify(join(folder, "text.gpu")))).toMatch(/^UNSUPPORTED .*text\.gpu" cannot be used: /);
    expect(codeOf(JSON.stringify(join(folder, "nowhere.gpu")))).toMatch(/^UNSUPPORTED .*nowhere\.gpu" cannot be used: /);
    expect(codeOf(JSON.stringify(addon))).toMatch(/^UNSUPPORTED .*no GPU library of zStream's/);
  });
  test("is never looked for in the working directory", () => {
    expect(codeOf('"fake.gpu"')).toMatch(/^BAD_OPTION "fake\.gpu" is no absolute path/);
    for (const name of ["libggml-vulkan.so", "libggml-cuda.so", "zstream-vulkan.so"]) cpSync(fake, join(folder, name));
    expect(inProcess("console.log(addon.devices().length)").out).toBe("1");
  });
});

describe.skipIf(process.platform !== "linux" || process.arch !== "x64")("the package of a GPU's library", () => {
  /** A project with zstream and a package for Vulkan that holds `library`. */
  function project(library: string): string {
    const at = mkdtempSync(join(folder, "project-"));
    const zstream = join(at, "node_modules", "zstream");
    for (const name of ["dist", "package.json", "models/demo/demo.gguf", "build/Release/zstream.node"]) {
      cpSync(join(root, name), join(zstream, name), { recursive: true });
    }
    const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    for (const name of Object.keys(dependencies)) {
      mkdirSync(dirname(join(at, "node_modules", name)), { recursive: true });
      symlinkSync(join(root, "node_modules", name), join(at, "node_modules", name));
    }
    const gpu = join(at, "node_modules", "@zstream", "vulkan-linux-x64");
    mkdirSync(gpu, { recursive: true });
    writeFileSync(join(gpu, "package.json"), '{ "name": "@zstream/vulkan-linux-x64", "version": "1.0.0", "main": "./index.js" }');
    writeFileSync(join(gpu, "index.js"), 'module.exports = require("node:path").join(__dirname, "zstream-vulkan.so");\n');
    cpSync(library, join(gpu, "zstream-vulkan.so"));
    return at;
  }
  const program = 'import { ZSE } from "zstream"; console.log(JSON.stringify(ZSE.devices().map(({ name }) => name)));';
  const runIn = (cwd: string) => spawnSync(process.execPath, ["--input-type=module", "--eval", program], { cwd, encoding: "utf8" });

  test("is used when it is installed beside zstream", () => {
    const { stdout, stderr } = runIn(project(fake));
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual(["CPU", "Fake0"]);
  });
  test("whose GPU cannot be used: one warning, however many models, and they compute on the CPU", () => {
    const chat = `import { ZSE } from "zstream";
      for (let i = 0; i < 2; i++) {
        const model = new ZSE({ threads: 1, contextSize: 128 });
        const { usage } = await model.chat([{ role: "user", content: "Hi" }], { maxTokens: 4 });
        console.log(model.info.device, usage.completionTokens);
        await model.close();
      }
      const asked = new ZSE({ gpuLayers: 1, threads: 1, contextSize: 128 });
      console.log(await asked.ready.then(() => "opened", ({ code }) => code));
      await asked.close();`;
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", chat], {
      cwd: project(fake),
      encoding: "utf8",
    });
    expect(stdout.trim().split("\n").slice(0, 2), stderr).toEqual(["CPU 4", "CPU 4"]);
    // Who has asked for the GPU is told that it fails.
    expect(stdout).toMatch(/\n(ENGINE_FAILED|BAD_MODEL)\n$/);
    expect(stderr.match(/Fake0 \(a GPU of the tests\) could not be used, and the CPU computes: /g), stderr).toHaveLength(1);
  });
  test("that was cut short, which would end the process where it is loaded: one warning, and the CPU", () => {
    const damaged = join(folder, "damaged.gpu");
    writeFileSync(damaged, readFileSync(fake).subarray(0, 4096));
    const { stdout, stderr } = runIn(project(damaged));
    expect(JSON.parse(stdout)).toEqual(["CPU"]);
    expect(stderr.match(/@zstream\/vulkan-linux-x64 is not used: .*cut short/g), stderr).toHaveLength(1);
  });
  test("of another version: one warning, and the CPU", () => {
    const { stdout, stderr } = runIn(project(stale));
    expect(JSON.parse(stdout)).toEqual(["CPU"]);
    expect(stderr).toMatch(/@zstream\/vulkan-linux-x64 is not used: .*install the same version of both packages/);
  });
});
