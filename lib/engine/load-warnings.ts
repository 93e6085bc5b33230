// Owns what a process is warned of once, of each model file or of a setting: it works, and not as well as it could. JS thread of the model.

const warned = new Set<string>();

/** Once for each file: it could be faster, and nobody would look for that. */
export function warnOfHead(path: string, reason: string): void {
  if (warned.has(`${path}: head`)) return;
  warned.add(`${path}: head`);
  process.emitWarning(`"${path}" has a head that guesses its next tokens (MTP), which is not used: ${reason}.`, {
    type: "ZSEWarning",
    code: "ZSE_HEAD_UNUSED",
  });
}

/** Once for each file: it loads, and its replies are worse than the model's, which nobody would look for there. */
export function warnOfPreTokenizer(path: string): void {
  if (warned.has(path)) return;
  warned.add(path);
  process.emitWarning(
    `"${path}" names no pre-tokenizer (tokenizer.ggml.pre), so texts are cut in a default way and replies may be worse; take a newer GGUF file of the model.`,
    { type: "ZSEWarning", code: "ZSE_NO_PRE_TOKENIZER" },
  );
}

/** Once: every step is several times slower, since the threads wait for each other. */
export function warnOfThreads(threads: number | undefined, cores: number): void {
  if (threads === undefined || threads <= cores || warned.has("threads")) return;
  warned.add("threads");
  process.emitWarning(`threads is ${threads}, and this process may use ${cores} cores: every step is slower so; leave the option out.`, {
    type: "ZSEWarning",
    code: "ZSE_MANY_THREADS",
  });
}
