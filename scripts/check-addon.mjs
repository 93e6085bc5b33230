// Owns the check that a prebuilt addon for Linux runs on old systems: which libraries it needs, which versions of glibc's symbols, and that it
// shows nothing but Node-API's two entry points, since another addon in the process may bring its own ggml.
import { spawnSync } from "node:child_process";
import { SetupError } from "./say.mjs";

const NEWEST_GLIBC = [2, 28];
const LIBRARIES = /^(libc|libm|libdl|libpthread|ld-linux-[a-z0-9-]+)\.so(\.\d+)?$/;
const ENTRY_POINTS = ["napi_register_module_v1", "node_api_module_get_api_version_v1"];

/** What is wrong with it, as sentences; empty where nothing is, and for platforms other than Linux. */
export function checkAddon(file, { platform }) {
  if (platform !== "linux") return [];
  const problems = [];
  for (const [, library] of readelf("--dynamic", file).matchAll(/\(NEEDED\).*\[(.+)\]/g)) {
    if (!LIBRARIES.test(library)) problems.push(`it needs ${library}, which machines of users may lack`);
  }
  const symbols = readelf("--dyn-syms", file);
  const versions = [...new Set([...symbols.matchAll(/@GLIBC_(\d+)\.(\d+)/g)].map(([, major, minor]) => `${major}.${minor}`))];
  for (const version of versions) {
    const [major, minor] = version.split(".").map(Number);
    if (major > NEWEST_GLIBC[0] || minor > NEWEST_GLIBC[1])
      problems.push(`it needs symbols of glibc ${version}; ${NEWEST_GLIBC.join(".")} is the newest`);
  }
  for (const line of symbols.split("\n")) {
    const [, , , type, bind, , section, name] = line.trim().split(/\s+/);
    if (type === "FUNC" && bind === "GLOBAL" && section !== "UND" && !ENTRY_POINTS.includes(name))
      problems.push(`it shows ${name} to the process`);
  }
  return problems;
}

function readelf(what, file) {
  for (const program of ["llvm-readelf", "readelf"]) {
    const result = spawnSync(program, ["--wide", what, file], { encoding: "utf8", maxBuffer: 1 << 28 });
    if (result.status === 0) return result.stdout;
  }
  throw new SetupError("readelf is needed to check the addon: install it (e.g. `apt-get install binutils`).");
}
