// Owns what is said when the addon cannot be loaded: what this machine is, what was tried, and what helps. Any thread.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** What to print when the addon cannot be loaded. */
export function loadHelp(root: string, error: unknown): string {
  const reason = error instanceof Error ? error.message.split("\n")[0]! : String(error);
  const target = `${process.platform}-${process.arch}`;
  const electron = process.versions.electron === undefined ? "" : `, Electron ${process.versions.electron}`;
  const tried = [join(root, "build", "Release"), join(root, "build", "Debug"), join(root, "prebuilds", target)].map(
    (folder) => `    ${folder}: ${describeFolder(folder)}`,
  );
  return [
    "zStream's native engine could not be loaded.",
    `  Here:   ${target}, Node ${process.version} (Node-API ${process.versions.napi ?? "unknown"})${electron}`,
    `  Reason: ${reason}`,
    "  Looked for zstream.node in:",
    ...tried,
    "  What to do:",
    ...advice(root, reason).map((line) => `    - ${line}`),
  ].join("\n");
}

function describeFolder(folder: string): string {
  if (!existsSync(folder)) return "no such folder";
  try {
    const addons = readdirSync(folder).filter((name) => name.endsWith(".node"));
    return addons.length === 0 ? "holds no .node file" : `holds ${addons.join(", ")}`;
  } catch (error) {
    return `cannot be read (${(error as Error).message})`;
  }
}

function advice(root: string, reason: string): string[] {
  const rebuild = "To build it here: npm rebuild zstream (in a clone of zStream: npm install). It needs git, CMake and a C++17 compiler.";
  if (/[\\/][^\\/]+\.asar[\\/]/.test(root)) {
    return ['Electron: a .node file cannot be loaded from inside an archive; add "**/node_modules/zstream/**" to asarUnpack.', rebuild];
  }
  if (/No native build was found/i.test(reason)) {
    return ["If npm ran with --ignore-scripts, or node_modules was copied from another machine, the engine was never built here.", rebuild];
  }
  if (/GLIBC|musl|version `/i.test(reason)) {
    return ["The addon was built for another (newer, or musl/glibc) C library than this machine has.", rebuild];
  }
  if (/invalid ELF|mach-o|wrong architecture|not a valid Win32|incompatible architecture/i.test(reason)) {
    return [
      `The addon was built for another machine; node_modules was perhaps copied from one that is not ${process.platform}-${process.arch}.`,
      rebuild,
    ];
  }
  return [rebuild, "If it still fails after that, please report it with this whole text."];
}
