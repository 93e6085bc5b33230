// One addon for processors with AMX and without: on one that has it, it is used; where it is hidden from CPUID (without-amx.c), it is not, and the
// text is the same. The tools: a C compiler.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
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

/** `project`: a folder where zstream is installed. */
export async function withoutAmx(project) {
  if (process.platform !== "linux" || process.arch !== "x64") throw new Skip("only on Linux x64");
  if (!/\bamx_int8\b/.test(readFileSync("/proc/cpuinfo", "utf8"))) throw new Skip("this processor has no AMX");
  const library = join(project, "without-amx.so");
  const args = ["-O1", "-shared", "-fPIC", "-o", library, join(root, "test", "platforms", "without-amx.c"), "-ldl"];
  const { status, error, stderr } = spawnSync("cc", args, { encoding: "utf8" });
  if (error) throw new Skip("no C compiler");
  if (status !== 0) throw new Error(`without-amx.c could not be compiled:\n${stderr}`);
  const env = { LD_PRELOAD: library };
  const { status: played, stderr: reason } = spawnSync(process.execPath, ["--version"], { encoding: "utf8", env });
  if (played === CANNOT) throw new Skip(reason.trim());

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
