// Owns what a process is warned of once for each model file: it loads, and something of it is not as good as it could be. JS thread of the model.

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
