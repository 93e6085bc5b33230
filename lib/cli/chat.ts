// Owns `zse chat`: a conversation in the terminal. Replies go to stdout, everything else to stderr. Main thread.

import { createInterface, type Interface } from "node:readline";
import type { Command } from "commander";

import { ZSEError } from "../errors.js";
import { readChatCall } from "../options/options.js";
import type { Message, Reply, ReplyOptions } from "../types.js";
import type { ZSE } from "../zse.js";
import { adapterOption, addModelFlags, addReplyFlags, type ModelFlags, type ReplyFlags, replyOptions } from "./flags.js";
import { openModel } from "./loading.js";
import { Output } from "./output.js";
import { type FlagNames, reportError, UsageError } from "./report.js";
import { addShapeFlags, printCalls, type ShapeFlags, shapeFlagNames, shapeOptions } from "./shape-flags.js";
import { dim, printStats } from "./stats-line.js";

interface ChatFlags extends ModelFlags, ReplyFlags, ShapeFlags {
  system?: string;
}

const HELP = `/system TEXT   set the system message and begin anew      /reset   begin anew
/help          this                                       /exit    leave (so do Ctrl-D, and Ctrl-C twice)
Ctrl-C while the model speaks ends its reply.`;

export function addChat(program: Command): void {
  const command = program
    .command("chat")
    .description("a conversation in the terminal")
    .argument("[model]", "a .gguf or .zse file, or hf:org/repo:quant; left out: the embedded demo model")
    .option("--system <text>", "a system message");
  addModelFlags(addReplyFlags(addShapeFlags(command))).addHelpText(
    "after",
    `
Examples:
  $ zse chat
  $ zse chat qwen-7b.gguf --system "You are brief." --temperature 0.5
  $ zse chat --tools tools.mjs --reasoning off

In the conversation:
${HELP.replace(/^/gm, "  ")}`,
  );
  command.action(async (path: string | undefined, flags: ChatFlags) => {
    try {
      process.exitCode = await chat(path, flags);
    } catch (error) {
      process.exitCode = reportError(error, shapeFlagNames(flags));
    }
  });
}

async function chat(path: string | undefined, flags: ChatFlags): Promise<number> {
  const options: ReplyOptions = { ...replyOptions(flags), ...adapterOption(flags), ...(await shapeOptions(flags)) };
  const { shape } = readChatCall("chat", [{ role: "user", content: "" }], options); // what is wrong with them is said before a model is loaded for nothing
  const idle = shape.tools.find(({ execute }) => execute === undefined);
  if (idle !== undefined) {
    const why = `"${idle.name}" of --tools has no execute(), and nobody here runs its calls`;
    throw new UsageError(`${why}; give a module whose tools have one, or take zse run, which prints them.`);
  }
  const model = openModel(path, flags);
  try {
    await model.ready;
    await new Conversation(model, options, flags).run();
    return 0;
  } finally {
    await model.close();
  }
}

class Conversation {
  readonly #model: ZSE;
  readonly #options: ReplyOptions;
  readonly #output = new Output();
  readonly #lines: Interface;
  readonly #flagNames: FlagNames;
  #system: string | undefined;
  #messages: Message[] = [];
  /** Ends the reply that is being printed. */
  #leaveReply: (() => void) | undefined;
  #warned = false;

  constructor(model: ZSE, options: ReplyOptions, flags: ChatFlags) {
    this.#model = model;
    this.#options = { ...options, onStep: (step) => printCalls(step, this.#output) };
    this.#system = flags.system;
    this.#flagNames = shapeFlagNames(flags);
    // The prompt and the echo of what is typed are not part of the replies: they go to stderr.
    const terminal = process.stdin.isTTY === true && process.stderr.isTTY === true;
    this.#lines = createInterface({
      input: process.stdin,
      terminal,
      prompt: terminal ? "> " : "",
      ...(terminal ? { output: process.stderr } : {}),
    });
  }

  async run(): Promise<void> {
    const onInterrupt = () => this.#onInterrupt();
    this.#lines.on("SIGINT", onInterrupt); // a terminal in raw mode
    process.on("SIGINT", onInterrupt); // a pipe, or kill -INT
    try {
      if (this.#lines.terminal) process.stderr.write(`${dim(`${this.#model.info?.name ?? "model"}: /help for help, Ctrl-D to leave`)}\n`);
      this.#lines.prompt();
      for await (const line of this.#lines) {
        this.#warned = false;
        if (!(await this.#take(line.trim())) || this.#output.closed) break;
        this.#lines.prompt();
      }
    } finally {
      process.removeListener("SIGINT", onInterrupt);
      this.#lines.close();
      if (this.#lines.terminal) process.stderr.write("\n");
    }
  }

  /** Returns whether the conversation goes on. */
  async #take(line: string): Promise<boolean> {
    if (line === "") return true;
    if (!line.startsWith("/")) {
      await this.#reply(line);
      return true;
    }
    const [command, ...rest] = line.split(" ");
    switch (command) {
      case "/exit":
      case "/quit":
        return false;
      case "/reset":
        this.#messages = [];
        this.#say("The conversation begins anew.");
        return true;
      case "/system":
        this.#system = rest.join(" ").trim() || undefined;
        this.#messages = [];
        this.#say(
          this.#system === undefined ? "There is no system message now." : "The system message is set; the conversation begins anew.",
        );
        return true;
      case "/help":
        this.#say(HELP);
        return true;
      default:
        this.#say(`${command} is not a command; /help lists them.`);
        return true;
    }
  }

  async #reply(line: string): Promise<void> {
    const user: Message = { role: "user", content: line };
    const system: Message[] = this.#system === undefined ? [] : [{ role: "system", content: this.#system }];
    const stream = this.#model.chatStream([...system, ...this.#messages, user], this.#options);
    const iterator = stream[Symbol.asyncIterator]();
    this.#leaveReply = () => void iterator.return?.();
    try {
      for await (const text of iterator) if (!(await this.#output.write(text))) return;
      const reply = await stream.result;
      if (!reply.text.endsWith("\n")) await this.#output.write("\n");
      this.#messages.push(user, ...saidIn(reply));
      printStats(reply);
    } catch (error) {
      await this.#output.endLine();
      if (error instanceof ZSEError && (error.code === "BAD_OPTION" || error.code === "ENGINE_FAILED")) throw error;
      reportError(error, this.#flagNames);
      if (error instanceof ZSEError && error.code === "CONTEXT_OVERFLOW") this.#say("/reset begins a new conversation.");
    } finally {
      this.#leaveReply = undefined;
    }
  }

  #onInterrupt(): void {
    if (this.#leaveReply !== undefined) {
      this.#leaveReply();
    } else if (this.#warned || !this.#lines.terminal) {
      this.#lines.close();
    } else {
      this.#warned = true;
      this.#say("\nCtrl-C once more, or Ctrl-D, to leave.");
      this.#lines.prompt();
    }
  }

  #say(text: string): void {
    process.stderr.write(`${dim(text)}\n`);
  }
}

/** A reply as the conversation goes on with it: where calls were run, they and their results are part of it. */
function saidIn({ text, steps }: Reply): Message[] {
  if (steps === undefined) return [{ role: "assistant", content: text }];
  return steps.flatMap((step): Message[] => {
    if (step.toolResults.length === 0) return [{ role: "assistant", content: step.text }];
    const results = step.toolResults.map(
      ({ toolCallId, name, content }): Message => ({ role: "tool", tool_call_id: toolCallId, name, content }),
    );
    return [{ role: "assistant", content: step.text === "" ? null : step.text, tool_calls: step.toolCalls }, ...results];
  });
}
