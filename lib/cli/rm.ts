// Owns `zse rm`: takes a model out of the cache folder. Main thread.

import type { Command } from "commander";

import { removeModel } from "../hub/cached-models.js";
import { readReference } from "../hub/reference.js";
import { readSettings } from "../hub/settings.js";
import { reportError } from "./report.js";
import { bytes, terminalText } from "./terminal.js";

export function addRm(program: Command): void {
  program
    .command("rm")
    .description("take a model out of the cache folder")
    .argument("<model>", "as zse models names it")
    .addHelpText(
      "after",
      `
Examples:
  $ zse rm hf:Qwen/Qwen3-0.6B-GGUF:Q8_0
  $ zse rm hf:Qwen/Qwen3-0.6B-GGUF        every model of the repository, and what was fetched of them in part

Other tools that share the folder lose the model as well. Their other files stay.`,
    )
    .action(async (model: string) => {
      try {
        const { files, freedBytes } = await removeModel(readSettings().cacheFolder, readReference(model));
        for (const file of files) process.stderr.write(`zse: removed ${terminalText(file)}\n`);
        process.stderr.write(`zse: ${bytes(freedBytes)} are free again\n`);
      } catch (error) {
        process.exitCode = reportError(error);
      }
    });
}
