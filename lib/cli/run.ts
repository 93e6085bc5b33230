// Owns `zse run`: one reply streamed to stdout (nothing else goes there), statistics to stderr. Main thread.

import { text as readText } from "node:stream/consumers";
import type { Command } from "commander";

import { ZSEError } from "../errors.js";
import type { TokenStream } from "../stream/token-stream.js";
import type { Message, Reply, ReplyOptions } from "../types.js";
import type { ZSE } from "../zse.js";
import { adapterOption, addModelFlags, addReplyFlags, type ModelFlags, type ReplyFlags, replyOptions } from "./flags.js";
import { openModel } from "./loading.js";
import { Output } from "./output.js";
import { reportError, UsageError } from "./report.js";
import { addShapeFlags, printCalls, type ShapeFlags, shapeFlagNames, shapeOptions } from "./shape-flags.js";
import { dim, printStats } from "./stats-line.js";
import { terminalText } from "./terminal.js";

interface RunFlags extends ModelFlags, ReplyFlags, ShapeFlags {
  model?: string;
  system?: string;
  raw?: boolean;
  json?: boolean;
  quiet?: boolean;
}

export function addRun(program: Command): void {
  const command = program
    .command("run")
    .description("stream one reply to stdout")
    .argument("[model]", "a .gguf or .zse file, or hf:org/repo:quant; left out: the embedded demo model")
    .argument("[prompt]", 'what to say to the model; "-", or none, reads it from stdin')
    .usage('[options] [model] "prompt"')
    .allowExcessArguments() // said below, in words that help
    .option("-m, --model <file>", "the model, for when the prompt comes from stdin")
    .option("--system <text>", "a system message before the prompt")
    .option("--raw", "continue the prompt as plain text, without the model's chat template")
    .option(
      "--json",
      "print one JSON object { text, toolCalls, object, finishReason, usage, timings, seed } at the end instead of streaming",
    )
    .option("-q, --quiet", "no statistics");
  addModelFlags(addReplyFlags(addShapeFlags(command))).addHelpText(
    "after",
    `
Examples:
  $ zse run "Tell me a story"
  $ zse run hf:Qwen/Qwen3-0.6B-GGUF:Q8_0 "Tell me a story"
  $ zse run qwen-7b.gguf "Tell me a story" --max-tokens 200 --temperature 0.5 --seed 1
  $ zse run -m qwen-7b.gguf --system "You are brief." - < question.txt
  $ zse run "Count from 1 to 5" --json | jq .usage
  $ zse run "Plan a trip to Rome" --format trip.schema.json --reasoning off | jq .days
  $ zse run "What is the weather in Rome?" --tools tools.mjs

Calls of tools that have an execute() are run, and told on stderr; others are the last lines of stdout, a JSON object each.

Ctrl-C ends the reply (exit code 130); a second one ends the program at once.`,
  );
  command.action(async (first: string | undefined, second: string | undefined, flags: RunFlags) => {
    try {
      if (command.args.length > 2) throw tooMany(command.args);
      process.exitCode = await run(first, second, flags);
    } catch (error) {
      process.exitCode = reportError(withHint(error, first, second), shapeFlagNames(flags));
    }
  });
}

async function run(first: string | undefined, second: string | undefined, flags: RunFlags): Promise<number> {
  const { path, prompt } = await readArguments(first, second, flags.model);
  const options: ReplyOptions = { ...replyOptions(flags), ...adapterOption(flags), ...(await shapeOptions(flags)) };
  const output = new Output();
  if (!flags.quiet) options.onStep = (step) => printCalls(step, output);
  const model = openModel(path, flags);
  try {
    const stream = openStream(model, prompt, flags, options);
    const { reply, interrupted } = await read(stream, flags.json ? async () => true : (text) => output.write(text));
    if (flags.json && reply !== undefined) await output.write(`${JSON.stringify(reply)}\n`);
    else for (const call of reply?.toolCalls ?? []) await output.writeLine(JSON.stringify(call));
    await output.endLine();
    if (reply !== undefined && !flags.quiet && !output.closed) {
      if (reply.warning !== undefined) process.stderr.write(`${dim(`[${reply.warning}]`)}\n`);
      printStats(reply);
    }
    return interrupted ? 130 : 0;
  } catch (error) {
    await output.endLine();
    throw error;
  } finally {
    await model.close();
  }
}

function openStream(model: ZSE, prompt: string, flags: RunFlags, options: ReplyOptions): TokenStream {
  if (flags.raw) return model.completionStream(prompt, options);
  const messages: Message[] = [{ role: "user", content: prompt }];
  if (flags.system !== undefined) messages.unshift({ role: "system", content: flags.system });
  return model.chatStream(messages, options);
}

/** The reply, if it began before it was interrupted. */
interface Outcome {
  reply: Reply | undefined;
  interrupted: boolean;
}

/** Reads the stream to its end; less when `take` returns false, or at Ctrl-C: then the reply is what there was of it. */
async function read(stream: TokenStream, take: (text: string) => Promise<boolean>): Promise<Outcome> {
  const iterator = stream[Symbol.asyncIterator]();
  const interrupt = onInterrupt(() => void iterator.return?.());
  let left = false;
  try {
    for await (const text of iterator) {
      left = !(await take(text));
      if (left) break;
    }
    return { reply: await stream.result, interrupted: interrupt.seen };
  } catch (error) {
    if (left || interrupt.seen) return { reply: undefined, interrupted: interrupt.seen };
    throw error;
  } finally {
    interrupt.stop();
  }
}

/** The first Ctrl-C calls `leave`; the second ends the process as if nobody had listened. */
function onInterrupt(leave: () => void): { readonly seen: boolean; stop(): void } {
  const state = { seen: false, stop: () => void process.removeListener("SIGINT", listener) };
  const listener = () => {
    if (state.seen) process.exit(130);
    state.seen = true;
    leave();
  };
  process.on("SIGINT", listener);
  return state;
}

/** One positional is the prompt, two are model and prompt. A lone model file means that the prompt comes from stdin. */
async function readArguments(
  first: string | undefined,
  second: string | undefined,
  model: string | undefined,
): Promise<{ path: string | undefined; prompt: string }> {
  let path = model;
  let prompt = first;
  if (second !== undefined) {
    if (model !== undefined) throw new UsageError("two models were named: one by --model, one before the prompt; give one of them.");
    path = first;
    prompt = second;
  } else if (model === undefined && first !== undefined && /^(?:hf:\S+|\S+\.(?:gguf|zse))$/i.test(first)) {
    path = first;
    prompt = undefined;
  }
  if (prompt !== undefined && prompt !== "-") return { path, prompt };
  if (prompt === undefined && process.stdin.isTTY) {
    throw new UsageError('there is no prompt; write one, as in: zse run "Tell me a story" (or pipe it in).');
  }
  const text = (await readText(process.stdin)).replace(/\r?\n$/, "");
  if (text === "") throw new UsageError('there is no prompt: stdin is empty; write one, as in: zse run "Tell me a story".');
  return { path, prompt: text };
}

function tooMany(words: readonly string[]): UsageError {
  return new UsageError(`too many arguments: ${words.length}, where model and prompt are two; ${quoteIt(words)}`);
}

/** `zse run hello world` names a model "hello": who wrote that meant one prompt of two words. */
function withHint(error: unknown, first: string | undefined, second: string | undefined): unknown {
  if (!(error instanceof ZSEError) || error.code !== "MODEL_NOT_FOUND" || first === undefined || second === undefined) return error;
  if (/[./\\]/.test(first)) return error;
  return new ZSEError(error.code, `${error.message}; ${quoteIt([first, second])}`, { cause: error });
}

function quoteIt(words: readonly string[]): string {
  return `if all of it is the prompt, put it in quotes: zse run ${JSON.stringify(terminalText(words.join(" "), 60))}`;
}
