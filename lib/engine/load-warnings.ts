// Owns what a process is warned of once, of each model file, of a device or of a setting: it works, and not as well as it could. JS thread of the model.

import type { NativeError } from "../addon/contract.js";
import type { Device } from "../types.js";

const warned = new Set<string>();

/** @param of what is warned of only once: a file, a device, or "" for the whole process */
function warnOnce(code: string, of: string, message: string): void {
  const key = `${code} ${of}`;
  if (warned.has(key)) return;
  warned.add(key);
  process.emitWarning(message, { type: "ZSEWarning", code });
}

/** Once for each file: it could be faster, and nobody would look for that. */
export function warnOfHead(path: string, reason: string): void {
  warnOnce("ZSE_HEAD_UNUSED", path, `"${path}" has a head that guesses its next tokens (MTP), which is not used: ${reason}.`);
}

/** Once for each file: it loads, and its replies are worse than the model's, which nobody would look for there. */
export function warnOfPreTokenizer(path: string): void {
  const message = `"${path}" names no pre-tokenizer (tokenizer.ggml.pre), so texts are cut in a default way and replies may be worse; take a newer GGUF file of the model.`;
  warnOnce("ZSE_NO_PRE_TOKENIZER", path, message);
}

/** Once: every step is several times slower, since the threads wait for each other. */
export function warnOfThreads(threads: number | undefined, cores: number): void {
  if (threads === undefined || threads <= cores) return;
  const message = `threads is ${threads}, and this process may use ${cores} cores: every step is slower so; leave the option out.`;
  warnOnce("ZSE_MANY_THREADS", "", message);
}

/** Once for each device: a CPU does its work. */
export function warnOfGpu({ name, description }: Device, { message }: NativeError): void {
  const said = `${name} (${description}) could not be used, and the CPU computes: ${message}. With device "cpu" it is not tried.`;
  warnOnce("ZSE_GPU_FAILED", name, said);
}
