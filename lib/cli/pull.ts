// Owns `zse pull`: a model of Hugging Face fetched into the cache folder, or found there. Its path goes to stdout, the rest to stderr. Main thread.

import type { Command } from "commander";

import { pull } from "../hub/index.js";
import type { PulledModel } from "../types.js";
import { FetchReport } from "./fetching.js";
import { Output } from "./output.js";
import { reportError } from "./report.js";

interface PullFlags {
  json?: boolean;
  update?: boolean;
  quiet?: boolean;
}

export function addPull(program: Command): void {
  program
    .command("pull")
    .description("fetch a model of Hugging Face, and print its path")
    .argument("<model>", "hf:org/repo, hf:org/repo:quant or hf:org/repo/file.gguf")
    .option("--update", "ask whether there is a newer one, also where one is there")
    .option("--json", "print one JSON object { path, files, repo, commit, quant, bytes, fetched }")
    .option("-q, --quiet", "no progress")
    .addHelpText(
      "after",
      `
Examples:
  $ zse pull hf:Qwen/Qwen3-0.6B-GGUF:Q8_0
  $ zse pull hf:unsloth/gemma-3-4b-it-GGUF            a quantization that fits into memory
  $ zse pull hf:org/repo@v1.0/sub/model-Q4_K_M.gguf   one file of a branch, tag or commit

Ctrl-C keeps what is there: the same command goes on with it. A model that is there takes no request.
HF_HOME or HF_HUB_CACHE name the folder, HF_TOKEN a token for gated models, HF_ENDPOINT a mirror; HF_HUB_OFFLINE=1 forbids requests.`,
    )
    .action(async (model: string, flags: PullFlags) => {
      try {
        process.exitCode = await run(model, flags);
      } catch (error) {
        process.exitCode = reportError(error);
      }
    });
}

async function run(model: string, { json, update, quiet }: PullFlags): Promise<number> {
  const report = new FetchReport(quiet);
  const interrupted = new AbortController();
  let signal: NodeJS.Signals | undefined;
  const onSignal = (which: NodeJS.Signals) => {
    if (signal !== undefined) process.exit(which === "SIGINT" ? 130 : 143);
    signal = which;
    interrupted.abort();
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, onSignal);
  let pulled: PulledModel;
  try {
    const options = { signal: interrupted.signal, update: update === true };
    pulled = await pull(model, { ...options, onProgress: (_, event) => report.tell(event) });
  } catch (error) {
    report.end();
    if (signal === undefined) throw error;
    process.stderr.write("zse: interrupted; what is there is kept, and the same command goes on with it\n");
    return signal === "SIGINT" ? 130 : 143;
  } finally {
    report.end();
    for (const name of ["SIGINT", "SIGTERM"] as const) process.removeListener(name, onSignal);
  }
  await new Output().write(json ? `${JSON.stringify(pulled)}\n` : `${pulled.path}\n`);
  return 0;
}
