// Owns `zse inspect --prefix`: at which token two prompts part, so that a person can mend what the prompt cache cannot use again. Main thread; the prompts
// are made by the engine, and nothing is computed.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { StringDecoder } from "node:string_decoder";
import { ZSEError } from "../errors.js";
import { readRequest } from "../http/formats/openai-chat/request.js";
import type { ChatRequest, Message } from "../types.js";
import type { ZSE } from "../zse.js";
import { parseJson } from "./json.js";
import { openModel } from "./loading.js";
import { UsageError } from "./report.js";
import { table, terminalText } from "./terminal.js";

/** Tokens that are shown before the place and after it. */
const BEFORE = 16;
const AFTER = 12;
/** Characters that are shown of either. */
const LONGEST_TEXT = 120;
/** Replies that a request may ask for, as OpenAI has it: how many it wants does not change its prompt. */
const MOST_CHOICES = 128;

/** A prompt in pieces: what each of its tokens stands for. */
export interface Prompt {
  file: string;
  tokens: readonly number[];
  pieces: readonly Uint8Array[];
  messages: readonly Message[];
}

/** One prompt at the place where the two part. */
export interface Side {
  file: string;
  promptTokens: number;
  /** The first token that is another one; undefined where the prompt ends. One that is a part of a character is told with all of it. */
  token?: { id: number; text: string };
  /** The message with that token in it, or the last before it; undefined before the first one's text. */
  message?: { index: number; role: string; inText: boolean };
  before: string;
  after: string;
}

export interface Comparison {
  /** Tokens that both prompts begin with. */
  sameTokens: number;
  /** Whether both have a token after those: false where one begins with the whole other. */
  parts: boolean;
  sides: [Side, Side];
}

const OF_DEMO = "These are the embedded demo model's template and tokens. For yours: zse inspect model.gguf --prefix a.json b.json";

/**
 * @param path the model whose template and tokens count; undefined: the embedded demo model, which the page says
 * @param files two bodies of chats, or arrays of messages
 * @returns what is printed
 */
export async function inspectPrefix(path: string | undefined, files: readonly string[], json: boolean | undefined): Promise<string> {
  if (files.length !== 2)
    throw new UsageError(`--prefix takes two files, given ${files.length}; as in: zse inspect model.gguf --prefix a.json b.json`);
  const requests = [await readChat(files[0]!), await readChat(files[1]!)] as const;
  const model = openModel(path, {}, { maxStreams: 1, promptCache: false }, false);
  try {
    const found = compare(await promptOf(model, files[0]!, requests[0]), await promptOf(model, files[1]!, requests[1]));
    if (json === true) return `${JSON.stringify(found, undefined, 2)}\n`;
    return path === undefined ? `${describePrefix(found)}\n${OF_DEMO}\n` : describePrefix(found);
  } finally {
    await model.close();
  }
}

async function promptOf(model: ZSE, file: string, request: ChatRequest): Promise<Prompt> {
  const { tokens } = await model.applyTemplate(request).catch((error: unknown) => {
    const isOfTheChat = error instanceof ZSEError && ["BAD_OPTION", "CONTEXT_OVERFLOW"].includes(error.code);
    throw isOfTheChat ? new UsageError(`${named(file)}: ${terminalText(error.message, 500)}`) : error;
  });
  return { file, tokens, pieces: await model.tokenBytes(tokens), messages: request.messages };
}

function named(file: string): string {
  return `--prefix: ${terminalText(file, LONGEST_TEXT)}`;
}

/** The body of a chat as clients of OpenAI send it, or its messages alone. */
async function readChat(file: string): Promise<ChatRequest> {
  const text = await readFile(file, "utf8").catch((error: Error) => {
    throw new UsageError(`${named(file)} cannot be read: ${terminalText(error.message, LONGEST_TEXT)}`);
  });
  let body: unknown;
  try {
    body = parseJson(text);
  } catch (error) {
    throw new UsageError(`${named(file)} is no JSON: ${terminalText((error as Error).message, LONGEST_TEXT)}`);
  }
  try {
    const { ask, options } = readRequest(Array.isArray(body) ? { messages: body } : body, MOST_CHOICES);
    if (!("messages" in ask)) throw new Error("it must have messages; the prompt of a completion is compared as the content of one");
    return { ...options, messages: ask.messages };
  } catch (error) {
    throw new UsageError(`${named(file)} is no chat: ${terminalText((error as Error).message, 500)}`);
  }
}

/** Exported for its test. */
export function compare(a: Prompt, b: Prompt): Comparison {
  const shorter = Math.min(a.tokens.length, b.tokens.length);
  let sameTokens = 0;
  while (sameTokens < shorter && a.tokens[sameTokens] === b.tokens[sameTokens]) sameTokens++;
  return { sameTokens, parts: sameTokens < shorter, sides: [sideOf(a, sameTokens), sideOf(b, sameTokens)] };
}

function sideOf({ file, tokens, pieces, messages }: Prompt, at: number): Side {
  const decoder = new StringDecoder("utf8"); // what it holds back of a character comes with the text after
  const before = decoder.write(wholeFrom(Buffer.concat(pieces.slice(Math.max(0, at - BEFORE), at))));
  const side: Side = { file, promptTokens: tokens.length, before, after: decoder.write(Buffer.concat(pieces.slice(at, at + AFTER))) };
  if (at === tokens.length) return side;
  side.token = { id: tokens[at]!, text: textOfToken(pieces, at) };
  const message = messageAt(pieces, messages, at);
  if (message !== undefined) side.message = message;
  return side;
}

/** Without the end of a character whose beginning is not there. */
function wholeFrom(bytes: Buffer): Buffer {
  let from = 0;
  while (from < Math.min(3, bytes.length) && (bytes[from]! & 0xc0) === 0x80) from++;
  return bytes.subarray(from);
}

function textOfToken(pieces: readonly Uint8Array[], at: number): string {
  const decoder = new StringDecoder("utf8");
  decoder.write(wholeFrom(Buffer.concat(pieces.slice(Math.max(0, at - BEFORE), at))));
  const text = decoder.write(Buffer.from(pieces[at]!));
  if (text !== "") return text;
  const [character = ""] = decoder.end(Buffer.concat(pieces.slice(at + 1, at + AFTER)));
  return character;
}

/** Messages are found by their texts, in order: what a template leaves out, or writes in another way, is passed over. */
function messageAt(pieces: readonly Uint8Array[], messages: readonly Message[], at: number): Side["message"] {
  const prompt = Buffer.concat(pieces);
  const begins = pieces.slice(0, at).reduce((sum, piece) => sum + piece.length, 0);
  const ends = begins + pieces[at]!.length;
  let found: Side["message"];
  let from = 0;
  for (const [index, message] of messages.entries()) {
    const text = Buffer.from(contentOf(message));
    const start = text.length === 0 ? -1 : prompt.indexOf(text, from);
    if (start < 0) continue;
    if (start >= ends) break;
    from = start + text.length;
    found = { index, role: message.role, inText: begins < from };
  }
  return found;
}

/** Templates trim texts. */
function contentOf({ content }: Message): string {
  if (typeof content === "string") return content.trim();
  if (!Array.isArray(content)) return "";
  const texts = content.map((part) => ("text" in part && typeof part.text === "string" ? part.text : ""));
  return texts.join("").trim();
}

/** The page for people. Exported for its test. */
export function describePrefix({ sameTokens, parts, sides }: Comparison): string {
  const [a, b] = sides;
  const names = sides.map(({ file }) => terminalText(basename(file), LONGEST_TEXT));
  const rows: [string, string][] = sides.map(({ promptTokens }, i) => [names[i]!, `${promptTokens} tokens`]);
  rows.push(["same", `the first ${sameTokens}`]);
  if (!parts) {
    rows.push(["breaks", a.promptTokens === b.promptTokens ? "nowhere: the prompts are the same" : `nowhere: ${goesOn(a, b, names)}`]);
    return `${table(rows).join("\n")}\n`;
  }
  rows.push(["breaks", `at token ${sameTokens}, counted from 0`]);
  const lines = sides.flatMap((side, i) => [
    "",
    `${names[i]}: ${placeOf(side)}`,
    `  after   ${quoted(side.before, true)}`,
    `  comes   ${quoted(side.token?.text ?? "", false)} (token ${side.token?.id}), as in`,
    `          ${quoted(side.after, false)}`,
  ]);
  return `${[...table(rows), ...lines].join("\n")}\n`;
}

function goesOn(a: Side, b: Side, names: readonly string[]): string {
  const [longer, shorter] = a.promptTokens > b.promptTokens ? [0, 1] : [1, 0];
  return `${names[longer]} begins with all of ${names[shorter]}`;
}

function placeOf({ message }: Side): string {
  if (message === undefined) return "before the text of messages[0], in what the template writes";
  const named = `messages[${message.index}] (${terminalText(message.role, LONGEST_TEXT)})`;
  return message.inText ? `in ${named}` : `after the text of ${named}, in what the template writes`;
}

/** @param atEnd whether the end counts where it is too long */
function quoted(text: string, atEnd: boolean): string {
  const clean = terminalText(text);
  if (clean.length <= LONGEST_TEXT) return `"${clean}"`;
  return atEnd ? `"…${clean.slice(-LONGEST_TEXT)}"` : `"${clean.slice(0, LONGEST_TEXT)}…"`;
}
