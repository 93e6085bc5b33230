// Owns the look at an addon's file before Linux loads it: one that was cut short ends the process there, without a word (SIGBUS), and of one for
// another processor the loader says that there is no such file. Any thread.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const MACHINES: Record<string, number> = { x64: 62, arm64: 183 };

/** @throws Error with code BAD_FILE, where `file` is an ELF file that this process must not load. Anything else is the loader's to judge. */
export function checkElf(file: string, arch: string = process.arch): void {
  const header = Buffer.alloc(64);
  let size: number;
  try {
    const open = openSync(file, "r");
    try {
      size = fstatSync(open).size;
      if (readSync(open, header, 0, 64, 0) < 64 && size >= 64) return;
    } finally {
      closeSync(open);
    }
  } catch {
    return;
  }
  if (size < 64) throw badFile(`${file}: cut short, with ${size} bytes`);
  if (header.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") return; // 64 bits, little-endian
  const machine = header.readUInt16LE(18);
  if (MACHINES[arch] !== undefined && machine !== MACHINES[arch]) {
    const name = Object.keys(MACHINES).find((known) => MACHINES[known] === machine) ?? `ELF machine ${machine}`;
    throw badFile(`${file}: for another processor (${name})`);
  }
  // The table of sections is what linkers write last.
  const end = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60);
  if (size < end) throw badFile(`${file}: cut short, with ${size} of ${end} bytes`);
}

/** What must not be loaded. */
export function badFile(message: string): Error {
  return Object.assign(new Error(message), { code: "BAD_FILE" });
}
