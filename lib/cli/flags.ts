// Owns the flags that several commands share, and their way into the library's options. Ranges are not checked here but by
// the library, whose sentences report.ts turns to name the flag. Main thread.

import { basename, extname } from "node:path";
import { type Command, InvalidArgumentError } from "commander";

import { ENGINE_OPTIONS, type Option, type OptionTable, REPLY_OPTIONS } from "../options/table.js";
import type { AdapterFile, EngineOptions, ReplyOptions } from "../types.js";

/** The options of a table that have a flag. */
type Flagged<Table extends OptionTable> = { [Name in keyof Table]: Table[Name] extends { flag: string } ? Name : never }[keyof Table];

/** Flags as commander gives them, by their options' names: those that were not given are absent. */
export type ReplyFlags = Pick<ReplyOptions, Flagged<typeof REPLY_OPTIONS>>;

export interface ModelFlags extends Pick<EngineOptions, Flagged<typeof ENGINE_OPTIONS>> {
  promptCache?: string | false;
  promptCacheMoved?: true;
  isolate?: true;
  recover?: true;
  draft?: string;
  adapter?: AdapterFile[];
}

export function addModelFlags(command: Command): Command {
  return addFlags(command, ENGINE_OPTIONS)
    .option("--prompt-cache <dir>", "keep computed prompts in this folder too, for after a restart")
    .option("--no-prompt-cache", "compute every prompt from its first token")
    .option("--prompt-cache-moved", "take over parts of prompts from other places too, which is not exact")
    .option("--draft <file>", "a smaller model of the same vocabulary, which guesses the next tokens")
    .option("--adapter <name=file>", "a LoRA adapter; of several, each in a flag of its own", readAdapterFlag)
    .option("--isolate", "run the engine in a process of its own, whose crash ends its replies and nothing else")
    .option("--recover", "as --isolate; replies go on after a crash");
}

export function addReplyFlags(command: Command): Command {
  return addFlags(command, REPLY_OPTIONS);
}

/** A flag for each option of a table that has one. */
function addFlags(command: Command, table: OptionTable): Command {
  for (const [name, option] of Object.entries(table)) {
    if (option.flag === undefined) continue;
    const help = `${option.help}${hint(option)}`;
    const read = READERS[name];
    if (read !== undefined) command.option(option.flag, help, read);
    else if (option.kind === "number" || option.kind === "integer") command.option(option.flag, help, number);
    else command.option(option.flag, help);
  }
  return command;
}

/** What happens without the flag, where that is a number: " (1 turns it off; default: 1)". */
function hint(option: Option): string {
  if (option.kind !== "number" && option.kind !== "integer") return "";
  const said = [option.hint, option.default === undefined ? undefined : `default: ${option.default}`].filter((part) => part !== undefined);
  return said.length === 0 ? "" : ` (${said.join("; ")})`;
}

/** Flags that are more than a number, a word, or there. */
const READERS: Record<string, (text: string, before: unknown) => unknown> = {
  gpuLayers: layers,
  speculate: (text) => ({ tokens: parse(text, "It must be a number of tokens; 0 guesses nothing.") }),
  stop: several,
  drySequenceBreakers: several,
  samplers: (text) => text.split(/[,;]/).filter((name) => name !== ""),
};

export function engineOptions(flags: ModelFlags): EngineOptions {
  const options: EngineOptions = given(flags, ENGINE_OPTIONS);
  // Commander gives true where --no-prompt-cache was not given.
  if (typeof flags.promptCache === "string") options.promptCache = { dir: flags.promptCache };
  else if (flags.promptCache === false) options.promptCache = false;
  if (flags.promptCacheMoved === true && options.promptCache !== false) {
    options.promptCache = { ...(options.promptCache as object | undefined), moved: true };
  }
  if (flags.adapter !== undefined) options.adapters = flags.adapter;
  if (flags.draft !== undefined) options.speculate = { ...(options.speculate as object | undefined), draftModel: flags.draft };
  if (flags.recover === true) options.isolate = { recover: true };
  else if (flags.isolate === true) options.isolate = true;
  return options;
}

export function replyOptions(flags: ReplyFlags): ReplyOptions {
  return given(flags, REPLY_OPTIONS);
}

/** What was given of a table's flags; a command has others beside them. */
function given(flags: object, table: OptionTable): object {
  return Object.fromEntries(Object.entries(flags).filter(([name, value]) => value !== undefined && table[name]?.flag !== undefined));
}

/** What --adapter has given of one reply: all of them, each at its own strength. */
export function adapterOption({ adapter }: ModelFlags): Pick<ReplyOptions, "adapter"> {
  return adapter === undefined ? {} : { adapter: Object.fromEntries(adapter.map(({ name }) => [name, 1])) };
}

/** `name=file`, or a file, which is then its own name. */
function readAdapterFlag(text: string, before: AdapterFile[] | undefined): AdapterFile[] {
  const equals = text.indexOf("=");
  const path = text.slice(equals + 1);
  const name = equals > 0 ? text.slice(0, equals) : basename(path, extname(path));
  if (path === "") throw new InvalidArgumentError("It must be a name and a file, as in: pirate=pirate-lora.gguf.");
  return [...(before ?? []), { name, path }];
}

function number(text: string): number {
  return parse(text, "It must be a number.");
}

function several(text: string, before: unknown): string[] {
  return [...((before as string[] | undefined) ?? []), text];
}

/** More layers than there are is as good as all of them. */
function layers(text: string): number | "auto" {
  return text === "auto" ? text : parse(text, "It must be a number of layers, or auto for as many as fit; 999 is all of them.");
}

function parse(text: string, wrong: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError(wrong);
  return value;
}
