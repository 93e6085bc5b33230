// Owns `zse convert`: GGUF to .zse and back, with a progress bar on stderr where that is a terminal. The work is the addon's, on a thread
// of its own; this is its progress, its interruption and its summary. Main thread.

import { basename, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { NativeConversion, NativeConversionReport } from "../addon/file-contract.js";
import { loadNative } from "../addon/load.js";
import { fromNative } from "../errors.js";
import { progressBar } from "./progress.js";
import { reportError, UsageError } from "./report.js";
import { bytes, terminalText } from "./terminal.js";

interface ConvertFlags {
  quant?: "int4" | "int8" | "fp16";
  force?: boolean;
  quiet?: boolean;
}

export function addConvert(program: Command): void {
  program
    .command("convert")
    .description("turn a GGUF file into a .zse file, or a .zse file into GGUF")
    .argument("<input>", "a GGUF file, or a .zse file of either generation; told apart by content")
    .argument("<output>", "the file to write")
    .addOption(new Option("--quant <kind>", "how a .zse file stores its linear weights (default: int8)").choices(["int4", "int8", "fp16"]))
    .option("-f, --force", "overwrite the output if it is there")
    .option("-q, --quiet", "no progress and no summary")
    .addHelpText(
      "after",
      `
Examples:
  $ zse convert model.gguf model.zse --quant int4
  $ zse convert model.zse model.gguf             keeps the coding; lossless where GGUF has it

A .zse file keeps embeddings, output matrix and norms as float16 whatever --quant says, so it can be larger than a small GGUF file.
The output appears whole or not at all: Ctrl-C, a full disk or an error leave nothing behind.`,
    )
    .action(async (input: string, output: string, flags: ConvertFlags) => {
      try {
        process.exitCode = await convert(input, output, flags);
      } catch (error) {
        process.exitCode = reportError(error);
      }
    });
}

async function convert(input: string, output: string, flags: ConvertFlags): Promise<number> {
  if (resolve(input) === resolve(output)) throw new UsageError("input and output are the same file; give another path to write to.");
  const bar = flags.quiet ? undefined : progressBar("writing {name} [{bar}] {percentage} %, {eta_formatted} left", () => basename(output));
  let signal: NodeJS.Signals | undefined;
  try {
    const report = await run(input, output, flags, {
      onProgress: (fraction) => bar?.(fraction),
      onSignal: (which) => {
        signal = which;
      },
    });
    bar?.(undefined);
    if (!flags.quiet) process.stderr.write(summary(output, report));
    return 0;
  } catch (error) {
    bar?.(undefined);
    if (signal === undefined) throw error;
    process.stderr.write("zse: interrupted; nothing was written\n");
    return signal === "SIGINT" ? 130 : 143;
  }
}

interface Listeners {
  onProgress(fraction: number): void;
  onSignal(signal: NodeJS.Signals): void;
}

/** The conversion as a promise; a signal cancels it, and the end of the process waits until its temporary file is gone. */
function run(input: string, output: string, { quant, force }: ConvertFlags, listeners: Listeners): Promise<NativeConversionReport> {
  const native = loadNative();
  return new Promise((done, fail) => {
    let conversion: NativeConversion | undefined;
    const onSignal = (signal: NodeJS.Signals) => {
      listeners.onSignal(signal);
      conversion?.cancel();
    };
    const onExit = () => conversion?.close();
    const leave = () => {
      for (const name of ["SIGINT", "SIGTERM"] as const) process.removeListener(name, onSignal);
      process.removeListener("exit", onExit);
    };
    // Before there is a temporary file: a signal in between would end the process and leave it behind.
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
    process.on("exit", onExit);
    try {
      conversion = new native.Conversion(
        resolve(input),
        resolve(output),
        { overwrite: force === true, ...(quant === undefined ? {} : { quant }) },
        (fraction) => listeners.onProgress(fraction),
        (error, report) => {
          leave();
          if (report === undefined) fail(fromNative(error));
          else done(report);
        },
      );
    } catch (error) {
      leave();
      fail(error);
    }
  });
}

function summary(output: string, { from, to, bytesRead, bytesWritten, notes }: NativeConversionReport): string {
  const format = (name: string) => (name === "gguf" ? "GGUF" : ".zse");
  const lines = [`${terminalText(output)}: ${bytes(bytesWritten)} of ${format(to)}, from ${bytes(bytesRead)} of ${format(from)}`];
  return [...lines, ...notes.map((note) => `note: ${terminalText(note)}`), ""].join("\n");
}
