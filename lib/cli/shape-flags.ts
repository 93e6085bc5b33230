// Owns the flags that say what a reply is made of besides plain text: tools, the form of the text, thoughts. They name files, which are read here,
// and what they hold is checked by the library. Main thread.

import { readFileSync } from "node:fs";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Command, InvalidArgumentError } from "commander";

import { cut, quote, quoteError } from "../base/quote.js";
import type { FunctionTool, ReasoningOption, ReplyOptions, ResponseFormat, Step, ToolChoice } from "../types.js";
import { parseJson } from "./json.js";
import type { Output } from "./output.js";
import { type FlagNames, UsageError } from "./report.js";
import { dim } from "./stats-line.js";
import { terminalText } from "./terminal.js";

export interface ShapeFlags {
  tools?: string;
  toolChoice?: string;
  format?: string;
  grammar?: string;
  reasoning?: string;
  reasoningBudget?: number;
}

const EFFORTS = ["minimal", "low", "medium", "high", "xhigh"] as const;
const HOW = ["auto", "on", "off", ...EFFORTS];
const MODULES = [".js", ".mjs", ".cjs"];
/** Characters of a call, and of its result, in a line about it. */
const SHOWN = 200;

export function addShapeFlags(command: Command): Command {
  return command
    .option("--tools <file>", "tools: a JSON file, or a module whose default export is an array of tool()s, which are run")
    .option("--tool-choice <choice>", "auto, none, required, or the name of a tool")
    .option("--format <form>", '"json" for any JSON object, or the file of a JSON Schema, which the text then is valid by')
    .option("--grammar <file>", "a grammar in llama.cpp's GBNF that the text keeps to")
    .option("--reasoning <how>", `whether the model thinks first: ${HOW.join(", ")}`)
    .option("--reasoning-budget <tokens>", "close the thought after so many tokens", tokens);
}

/** @throws UsageError for files that cannot be read and flags that exclude each other; what they hold is the library's to refuse */
export async function shapeOptions(flags: ShapeFlags): Promise<ReplyOptions> {
  const { tools, toolChoice } = flags;
  const responseFormat = formatOf(flags);
  const reasoning = reasoningOf(flags);
  return {
    ...(tools === undefined ? {} : { tools: await readTools(tools) }),
    ...(toolChoice === undefined ? {} : { toolChoice: choiceOf(toolChoice) }),
    ...(responseFormat === undefined ? {} : { responseFormat }),
    ...(reasoning === undefined ? {} : { reasoning }),
  };
}

/** What flags there are for the options that these flags are read to. */
export function shapeFlagNames({ grammar }: ShapeFlags): FlagNames {
  return {
    toolChoice: "--tool-choice",
    responseFormat: grammar === undefined ? "--format" : "--grammar",
    "reasoning.budgetTokens": "--reasoning-budget",
  };
}

/** Tells on stderr of the calls that were run. */
export async function printCalls({ toolCalls, toolResults }: Step, output: Output): Promise<void> {
  if (toolResults.length > 0) await output.endLine();
  for (const { toolCallId, content } of toolResults) {
    const call = toolCalls.find(({ id }) => id === toolCallId);
    const said = `${call?.function.name ?? ""} ${terminalText(call?.function.arguments ?? "", SHOWN)} → ${terminalText(content, SHOWN)}`;
    process.stderr.write(`${dim(`[${said}]`)}\n`);
  }
}

function formatOf({ format, grammar }: ShapeFlags): ResponseFormat | undefined {
  if (format !== undefined && grammar !== undefined)
    throw new UsageError("--format and --grammar both say what the text must be; give one of them.");
  if (grammar !== undefined) return { type: "grammar", gbnf: read("--grammar", grammar) };
  if (format === undefined) return undefined;
  return format === "json" ? { type: "json_object" } : { type: "json_schema", schema: readJson("--format", format) as object };
}

function reasoningOf({ reasoning: how, reasoningBudget: budgetTokens }: ShapeFlags): ReasoningOption | undefined {
  if (how !== undefined && !HOW.includes(how)) throw new UsageError(`--reasoning must be one of ${HOW.join(", ")}; given ${quote(how)}.`);
  const effort = EFFORTS.find((one) => one === how);
  if (budgetTokens === undefined) return effort === undefined ? (how as ReasoningOption | undefined) : { effort };
  if (how === "off") throw new UsageError("--reasoning off and --reasoning-budget contradict each other; give one of them.");
  return { ...(effort === undefined ? {} : { effort }), budgetTokens };
}

function choiceOf(given: string): ToolChoice {
  return given === "auto" || given === "none" || given === "required" ? given : { name: given };
}

async function readTools(file: string): Promise<readonly FunctionTool[]> {
  if (!MODULES.includes(extname(file))) return readJson("--tools", file) as readonly FunctionTool[];
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(resolve(file)).href)) as typeof module;
  } catch (error) {
    throw new UsageError(`--tools ${quote(file)} cannot be loaded: ${quoteError(error)}.`);
  }
  if (!Array.isArray(module.default))
    throw new UsageError(`--tools ${quote(file)} must have an array of tools as its default export; given ${quote(module.default)}.`);
  return module.default as readonly FunctionTool[];
}

function readJson(flag: string, file: string): unknown {
  const text = read(flag, file);
  try {
    return parseJson(text);
  } catch (error) {
    throw new UsageError(`${flag} ${quote(file)} must be JSON: ${quoteError(error)}.`);
  }
}

function read(flag: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`${flag} ${quote(file)} cannot be read: ${cut(quoteError(error), SHOWN)}.`);
  }
}

function tokens(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < 0) throw new InvalidArgumentError("It must be a whole number of tokens.");
  return value;
}
