#!/usr/bin/env node
// Owns the command `zse`: its subcommands, and what every one of them shares: exit codes (0 done, 1 failed, 2 wrong usage,
// 130 interrupted) and errors as one sentence on stderr. Main thread.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, CommanderError } from "commander";

import { packageRoot } from "../addon/package-root.js";
import { cutMessage } from "../base/quote.js";
import { addBench } from "./bench.js";
import { addBuild } from "./build.js";
import { addChat } from "./chat.js";
import { addConvert } from "./convert.js";
import { addDevices } from "./devices.js";
import { addInspect } from "./inspect.js";
import { addModels } from "./models.js";
import { addPull } from "./pull.js";
import { reportError } from "./report.js";
import { addRm } from "./rm.js";
import { addRun } from "./run.js";
import { addServe } from "./serve.js";

const { version } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string };

const program = new Command("zse")
  .description("Stream text from local language models. Without a model, the small embedded demo model answers.")
  .version(version, "-V, --version", "print the version")
  .helpOption("-h, --help", "print this help")
  .configureHelp({ showGlobalOptions: false })
  // Commander quotes what it does not know, and begins and ends its sentences in its own way.
  .configureOutput({
    outputError: (text, write) => {
      const said = cutMessage(text.trimEnd())
        .replace(/^error: /, "")
        .replaceAll("\n", " ")
        .replace(/\.$/, "");
      write(`zse: ${said}; --help lists what there is\n`);
    },
  })
  .exitOverride() // throws instead of leaving with its own exit code
  .addHelpText(
    "after",
    `
Examples:
  $ zse run "Tell me a story"                     one reply from the demo model
  $ zse run qwen-7b.gguf "Tell me a story"        … from a model of yours
  $ zse run hf:Qwen/Qwen3-0.6B-GGUF "Hi"          … from one of Hugging Face, fetched where it is not there
  $ zse chat                                      a conversation in the terminal
  $ zse serve qwen-7b.gguf --port 8000            a page, and a server for many clients
  $ zse convert qwen-7b.gguf qwen-7b.zse          another file format, either way
  $ zse bench qwen-7b.gguf                        how fast it is on this machine

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. ZSE_DEBUG=1 prints where an error came from.`,
  );

// A reader that has gone (`zse … | head`) is nobody's error; output.ts ends what was under way.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    process.stderr.write(`zse: the output could not be written: ${error.message}\n`);
    process.exit(1);
  });
}

addRun(program);
addChat(program);
addServe(program);
addPull(program);
addModels(program);
addRm(program);
addConvert(program);
addInspect(program);
addBench(program);
addDevices(program);
addBuild(program);
addHelp(program);

try {
  await program.parseAsync();
} catch (error) {
  // Commander has already printed what it had to say.
  process.exitCode = error instanceof CommanderError ? (error.exitCode === 0 ? 0 : 2) : reportError(error);
}

/** Commander's own `help` answers a command that there is not with the whole help. */
function addHelp(program: Command): void {
  program
    .command("help")
    .description("print the help of a command")
    .argument("[command]", "all of them when left out")
    .action((name?: string) => {
      const command = name === undefined ? program : program.commands.find((one) => one.name() === name);
      if (command === undefined) program.error(`error: unknown command '${name}'`);
      command.help();
    });
}
