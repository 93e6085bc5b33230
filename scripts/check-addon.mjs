// Owns the check that a prebuilt addon runs on users' systems: which libraries it needs, which versions of glibc's symbols, and that it shows
// nothing but Node-API's two entry points, since another addon in the process may bring its own ggml. For Linux, and for Windows where the
// cross compiler made it.
import { spawnSync } from "node:child_process";
import { SetupError } from "./say.mjs";

const NEWEST_GLIBC = [2, 28];
/** Of a GPU's library: its driver's, and the toolkit's. */
const GPU_LIBRARIES = /^(libc|libm|libdl|libpthread|ld-linux-x86-64|libvulkan|libcuda|libcudart|libcublas|libcublasLt)\.so(\.\d+)?$/;
const LIBRARIES = /^(libc|libm|libdl|libpthread|ld-linux-[a-z0-9-]+)\.so(\.\d+)?$/;
/** Parts of Windows 10. None is node.exe: another program may load the addon (native/node/host_symbols.cpp). */
const WINDOWS_LIBRARIES =
  /^(kernel32|advapi32|user32|shell32|ws2_32|crypt32|bcrypt|ntdll|ole32|psapi|api-ms-win-[a-z0-9-]+|ucrtbase)\.dll$/i;
const ENTRY_POINTS = ["napi_register_module_v1", "node_api_module_get_api_version_v1"];

/** What is wrong with it, as sentences; empty where nothing is, and for platforms other than these. */
export function checkAddon(file, { platform, zig, gpu }) {
  if (platform === "win32" && zig) return checkWindows(file);
  if (platform !== "linux") return [];
  const problems = [];
  const [libraries, entryPoints] = gpu ? [GPU_LIBRARIES, ["zse_gpu_library"]] : [LIBRARIES, ENTRY_POINTS];
  for (const [, library] of readelf("--dynamic", file).matchAll(/\(NEEDED\).*\[(.+)\]/g)) {
    if (!libraries.test(library)) problems.push(`it needs ${library}, which machines of users may lack`);
  }
  const symbols = readelf("--dyn-syms", file);
  const versions = [...new Set([...symbols.matchAll(/@GLIBC_(\d+)\.(\d+)/g)].map(([, major, minor]) => `${major}.${minor}`))];
  for (const version of versions) {
    const [major, minor] = version.split(".").map(Number);
    if ((!gpu || zig) && (major > NEWEST_GLIBC[0] || minor > NEWEST_GLIBC[1]))
      // a GPU's by the system's compiler is as new as the system
      problems.push(`it needs symbols of glibc ${version}; ${NEWEST_GLIBC.join(".")} is the newest`);
  }
  for (const line of symbols.split("\n")) {
    const [, , , type, bind, , section, name] = line.trim().split(/\s+/);
    if (type === "FUNC" && bind === "GLOBAL" && section !== "UND" && !entryPoints.includes(name))
      problems.push(`it shows ${name} to the process`);
  }
  return problems;
}

function checkWindows(file) {
  const { stdout, status } = spawnSync("llvm-readobj", ["--coff-imports", "--coff-exports", file], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new SetupError("llvm-readobj is needed to check the addon: install it (e.g. `apt-get install llvm`).");
  const names = (block) =>
    [...stdout.matchAll(new RegExp(`^${block} \\{\\n(?:  (?!Name).*\\n)*  Name: (.*)$`, "gm"))].map(([, name]) => name);
  const problems = names("(?:Delay)?Import")
    .filter((name) => !WINDOWS_LIBRARIES.test(name))
    .map((name) => `it needs ${name}, which machines of users may lack`);
  const shown = names("Export");
  for (const name of shown.filter((one) => !ENTRY_POINTS.includes(one))) problems.push(`it shows ${name} to the process`);
  for (const name of ENTRY_POINTS.filter((one) => !shown.includes(one))) problems.push(`it does not show ${name}`);
  return problems;
}

function readelf(what, file) {
  for (const program of ["llvm-readelf", "readelf"]) {
    const result = spawnSync(program, ["--wide", what, file], { encoding: "utf8", maxBuffer: 1 << 28 });
    if (result.status === 0) return result.stdout;
  }
  throw new SetupError("readelf is needed to check the addon: install it (e.g. `apt-get install binutils`).");
}
