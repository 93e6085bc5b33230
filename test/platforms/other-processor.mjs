// One addon for processors with AMX and without, for older ones, and a sentence on one that is too old. On a processor that has AMX, it is used; where
// it is hidden from CPUID (other-processor.c), it is not, and the text is the same. Older ones are qemu's. The tools: a C compiler; apt-get install qemu-user.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run, Skip } from "../../scripts/farm.mjs";
import { root } from "../../scripts/paths.mjs";

const CANNOT = 77;
const program = `
import { execFileSync } from "node:child_process";
import { ZSE } from "zstream";
const model = new ZSE(undefined, { threads: 1 });
const { text } = await model.chat([{ role: "user", content: "Tell me a story" }], { maxTokens: 24, temperature: 0 });
await model.close();
const devices = JSON.parse(execFileSync(process.execPath, ["node_modules/zstream/dist/cli/main.js", "devices", "--json"]));
console.log("told: " + JSON.stringify({ text, usesAmx: devices.systemInfo.includes("AMX_INT8 = 1") }));
`;

/** The environment of a program from which AMX is hidden: see other-processor.c. */
function hidingAmx(project) {
  if (process.platform !== "linux" || process.arch !== "x64") throw new Skip("only on Linux x64");
  const library = join(project, "other-processor.so");
  const args = ["-O1", "-shared", "-fPIC", "-o", library, join(root, "test", "platforms", "other-processor.c"), "-ldl"];
  const { status, error, stderr } = spawnSync("cc", args, { encoding: "utf8" });
  if (error) throw new Skip("no C compiler");
  if (status !== 0) throw new Error(`other-processor.c could not be compiled:\n${stderr}`);
  const env = { LD_PRELOAD: library };
  const { status: played, stderr: reason } = spawnSync(process.execPath, ["--version"], { encoding: "utf8", env });
  if (played === CANNOT) throw new Skip(reason.trim());
  return env;
}

/** `project`: a folder where zstream is installed. */
export async function withoutAmx(project) {
  const env = hidingAmx(project);
  if (!/\bamx_int8\b/.test(readFileSync("/proc/cpuinfo", "utf8"))) throw new Skip("this processor has no AMX");
  const told = async (more) => {
    const output = await run([process.execPath, "--input-type=module", "--eval", program], project, { env: more });
    return JSON.parse(/^told: (.*)$/m.exec(output)[1]);
  };
  const [here, there] = [await told({}), await told(env)];
  if (!here.usesAmx) throw new Error("AMX is there, and not used");
  if (there.usesAmx) throw new Error("AMX is not there, and used");
  if (here.text !== there.text)
    throw new Error(`the text is ${JSON.stringify(here.text)} with AMX, and ${JSON.stringify(there.text)} without`);
}

/** Processors that qemu plays, and the level that each must have; undefined: none fits, which is said in sentences. */
const OLDER = { Conroe: undefined, Nehalem: "sse42", Haswell: "avx2" };

/** Older processors than this one: not only what CPUID tells of them, but what they do with an instruction that they do not know. */
export async function older(project) {
  if (process.platform !== "linux" || process.arch !== "x64") throw new Skip("only on Linux x64");
  const qemu = "/usr/bin/qemu-x86_64";
  if (!existsSync(qemu)) throw new Skip("no qemu (Debian: apt-get install qemu-user)");
  const on = (processor, args) => run([qemu, "-cpu", processor, process.execPath, ...args], project);
  const story = ["--input-type=module", "--eval", program];
  const wanted = JSON.parse(/^told: (.*)$/m.exec(await run([process.execPath, ...story], project))[1]).text;
  for (const [processor, level] of Object.entries(OLDER)) {
    if (level === undefined) saysSo(await on(processor, ["--input-type=module", "--eval", load]));
    else {
      const { cpuLevel } = JSON.parse(
        /^\{.*^\}/ms.exec(await on(processor, ["node_modules/zstream/dist/cli/main.js", "devices", "--json"]))[0],
      );
      if (cpuLevel !== level) throw new Error(`a ${processor} has the level ${cpuLevel}, and not ${level}`);
      const { text } = JSON.parse(/^told: (.*)$/m.exec(await on(processor, story))[1]);
      if (text !== wanted) throw new Error(`the text is ${JSON.stringify(text)} on a ${processor}, and ${JSON.stringify(wanted)} here`);
    }
  }
}

const load = `import { ZSE } from "zstream"; try { new ZSE(); console.log("it loaded"); } catch (error) { console.log(error.code, error.message); }`;

function saysSo(output) {
  if (!/^ENGINE_FAILED/.test(output) || !/this processor has none of the instructions/.test(output) || !/zse build/.test(output))
    throw new Error(output);
  if (output.split("\n").length > 24 || /^\s+at /m.test(output)) throw new Error(`more than one screen, or a stack:\n${output}`);
}
