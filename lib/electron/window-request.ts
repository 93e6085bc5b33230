// Owns reading what a window says: hostile input, whatever the page in it is meant to be. Runs in the engine's process, on its JavaScript thread.
//
// What is no message of the protocol breaks the connection. A request that is one, and wrong, ends its own stream with BAD_OPTION: it is
// turned back into the options that a caller writes, and read by the same code as a body that came over HTTP. Nothing of what the page sent reaches the
// addon itself.

import type { NativeQuestion, NativeReplyShape, NativeRequest } from "../addon/contract.js";
import { cutName, quote } from "../base/quote.js";
import { ProtocolError, readToHost, type ToHost } from "../engine/port/protocol.js";
import { bad, ZSEError } from "../errors.js";
import { readEmbedCall, readRerankCall } from "../options/embeddings.js";
import { parseForeign } from "../options/foreign.js";
import { REQUEST_FIELDS, readChatCall, readCompletionCall } from "../options/options.js";
import { INT32_MAX, isPlainObject } from "../options/rules.js";
import { readTokens } from "../options/tokens.js";
import { MOST_COMMANDS } from "./protocol.js";

/** @throws ProtocolError for what no page of this package says */
export function readWindowMessage(data: unknown): ToHost {
  if (isPlainObject(data) && data.type === "turn") {
    for (const list of [data.acks, data.commands]) {
      if (Array.isArray(list) && list.length > 2 * MOST_COMMANDS)
        throw new ProtocolError(`A message holds up to ${MOST_COMMANDS} commands.`);
    }
  }
  const message = readToHost(data);
  if (message.type === "turn") for (const [name, , subject] of message.commands) if (name === "ask") checkQuestion(subject);
  return message;
}

function checkQuestion(given: unknown): void {
  const { tokenize, special, addSpecial, detokenize, render, embed, dimensions, normalize, rerank, documents, truncate } = given as Record<
    string,
    unknown
  >;
  if (isPlainObject(render)) return;
  if (render === undefined && typeof special === "boolean") {
    if (typeof tokenize === "string" ? typeof addSpecial === "boolean" : detokenize instanceof Int32Array) return;
  }
  if (render === undefined && special === undefined && typeof truncate === "boolean") {
    if (Array.isArray(embed) && typeof dimensions === "number" && typeof normalize === "boolean") return;
    if (embed === undefined && typeof rerank === "string" && Array.isArray(documents)) return;
  }
  throw new ProtocolError(
    "A question must be { tokenize, special, addSpecial }, { detokenize, special }, { render: { messages, reply } }, { embed, dimensions, normalize, truncate } or { rerank, documents, truncate }.",
  );
}

/**
 * The question of a page, made anew.
 * @param given what readWindowMessage() has let pass
 * @throws ZSEError BAD_OPTION
 */
export function readWindowQuestion(given: NativeQuestion, mostCharacters: number): NativeQuestion {
  if ("cache" in given) throw bad("cache", "The prompt cache holds everybody's texts: a page has no part in it.");
  if ("embed" in given) {
    const { texts, signal: _, ...shape } = readEmbedCall(given.embed, without(given, "embed"));
    checkCharacters("texts", texts, mostCharacters);
    return { embed: texts.map((text) => (typeof text === "string" ? text.toWellFormed() : text)), ...shape };
  }
  if ("rerank" in given) {
    const { query, documents, truncate } = readRerankCall(given.rerank, given.documents, { truncate: given.truncate });
    checkCharacters("documents", [query, ...documents], mostCharacters);
    return { rerank: query.toWellFormed(), documents: documents.map((text) => text.toWellFormed()), truncate };
  }
  if ("render" in given) {
    const { messages, reply } = readWindowRequest(given.render, mostCharacters);
    return { render: { messages: messages!, ...(reply === undefined ? {} : { reply }) } };
  }
  if ("detokenize" in given) return { detokenize: readTokens("tokens", given.detokenize), special: given.special };
  const { length } = given.tokenize;
  if (length > mostCharacters) throw bad("text", `text may have up to ${mostCharacters} characters; given ${length}.`);
  return { tokenize: given.tokenize.toWellFormed(), special: given.special, addSpecial: given.addSpecial };
}

function without(given: object, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([key]) => key !== name));
}

function checkCharacters(name: string, texts: readonly (string | Int32Array)[], most: number): void {
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  if (characters > most) throw bad(name, `${name} may have up to ${most} characters together; given ${characters}.`);
}

/** Tokens of a reply that goes on: no context is as large. */
const MOST_REPLAYED = 2 ** 22;

/**
 * The request of a page, made anew.
 * @throws ZSEError BAD_OPTION (or UNSUPPORTED), as a caller in this process would get it
 */
export function readWindowRequest(given: unknown, mostCharacters: number): NativeRequest {
  if (!isPlainObject(given)) throw bad("request", `A request must be an object; given ${quote(given)}.`);
  const { messages, prompt, reply, adapters, prepares, tellTokens, replay, ...others } = given;
  if (prepares !== undefined && typeof prepares !== "boolean")
    throw bad("prepares", `prepares must be true or false; given ${quote(prepares)}.`);
  const shape = reply === undefined ? {} : asShape(reply);
  checkLength([messages, prompt, others.prediction, ...Object.values(shape)], mostCharacters);
  const stranger = Object.keys(others).find((name) => !REQUEST_FIELDS.has(name));
  if (stranger !== undefined) throw bad(cutName(stranger), `A request has no ${quote(stranger)}.`);
  const options = { ...others, adapter: readAdapters(adapters), logitBias: readBiases(others.logitBias), ...shapeOptions(shape) };
  if (messages !== undefined && prompt !== undefined) throw bad("prompt", "A request has messages or a prompt, not both.");
  const { request } =
    prompt === undefined
      ? readChatCall("chatStream()", readJson("messages", messages), options)
      : readCompletionCall("completionStream()", { prompt, ...options }, undefined);
  return { ...request, ...(prepares === undefined ? {} : { prepares }), ...readRecovery(tellTokens, replay) };
}

/** Of a page whose streams go on after a crash: what it was told of a reply. Whether the model has such tokens is shared-model.ts's to say. */
function readRecovery(tellTokens: unknown, replay: unknown): Pick<NativeRequest, "tellTokens" | "replay"> {
  if (tellTokens !== undefined && typeof tellTokens !== "boolean") {
    throw bad("tellTokens", `tellTokens must be true or false; given ${quote(tellTokens)}.`);
  }
  const told = tellTokens === undefined ? {} : { tellTokens };
  if (replay === undefined) return told;
  const isToken = (token: unknown) => Number.isInteger(token) && (token as number) >= 0 && (token as number) <= INT32_MAX;
  if (!Array.isArray(replay) || replay.length > MOST_REPLAYED || !Array.from(replay).every(isToken)) {
    throw bad("replay", `replay must be an array of up to ${MOST_REPLAYED} token ids; given ${quote(replay)}.`);
  }
  return { ...told, replay: Array.from(replay as number[]) };
}

function asShape(given: unknown): { [Name in keyof NativeReplyShape]?: unknown } {
  if (isPlainObject(given)) return given;
  throw bad("reply", `A request's reply must be an object; given ${quote(given)}.`);
}

function checkLength(texts: unknown[], most: number): void {
  const length = texts.reduce((sum: number, text) => sum + (typeof text === "string" ? text.length : 0), 0);
  if (length > most) throw bad("messages", `A window's request may have up to ${most} characters; given ${length}.`);
}

/** A list of names and strengths, as an object again. */
function readAdapters(given: unknown): Record<string, unknown> | undefined {
  if (given === undefined) return undefined;
  const fits = Array.isArray(given) && given.length <= 64 && given.every((one) => isPlainObject(one) && typeof one.name === "string");
  if (!fits) throw bad("adapter", `A request's adapters must be a list of { name, scale }; given ${quote(given)}.`);
  return Object.fromEntries(given.map(({ name, scale }) => [name, scale]));
}

/** Pairs, flat, as an object again. */
function readBiases(given: unknown): Record<string, unknown> {
  if (given === undefined) return {};
  const fits = Array.isArray(given) && given.length % 2 === 0 && given.length <= 2 ** 20;
  if (!fits) throw bad("logitBias", `logitBias must be pairs of a token id and its bias; given ${quote(given)}.`);
  return Object.fromEntries(Array.from({ length: given.length / 2 }, (_, i) => [String(given[2 * i]), given[2 * i + 1] as unknown]));
}

/** The shape of a reply as its options. */
function shapeOptions(shape: { [Name in keyof NativeReplyShape]?: unknown }): Record<string, unknown> {
  const { tools, toolChoice, parallelToolCalls, jsonSchema, grammar, thinking, reasoningBudget, templateArguments, ...rest } = shape;
  const { continueFinalMessage, ...others } = rest;
  const stranger = Object.keys(others)[0];
  if (stranger !== undefined) throw bad(cutName(stranger), `A request's reply has no ${quote(stranger)}.`);
  if (jsonSchema !== undefined && grammar !== undefined) throw bad("responseFormat", "A reply has a schema or a grammar, not both.");
  const variables = templateArguments === undefined ? undefined : readJson("templateArguments", templateArguments);
  const responseFormat =
    jsonSchema !== undefined
      ? readFormat(readJson("responseFormat.schema", jsonSchema))
      : grammar !== undefined
        ? { type: "grammar", gbnf: grammar }
        : undefined;
  return {
    tools: tools === undefined ? undefined : readJson("tools", tools),
    toolChoice,
    parallelToolCalls,
    responseFormat,
    templateArguments: variables,
    reasoning: readThinking(thinking, reasoningBudget, variables),
    continueFinalMessage,
  };
}

/** As lib/electron/as-said.ts writes it. */
function readFormat(given: unknown): unknown {
  if (isPlainObject(given) && Object.keys(given).every((name) => name === "schema" || name === "strict"))
    return { type: "json_schema", ...given };
  throw bad("responseFormat", `A schema crosses as { schema, strict }; given ${quote(given)}.`);
}

function readThinking(thinking: unknown, budgetTokens: unknown, variables: unknown): unknown {
  if (thinking !== undefined && typeof thinking !== "boolean") {
    throw bad("reasoning", `reasoning must be "auto", "on" or "off"; given ${quote(thinking)}.`);
  }
  if (budgetTokens === undefined) return thinking === undefined ? undefined : thinking ? "on" : "off";
  const effort = isPlainObject(variables) ? variables.reasoning_effort : undefined;
  return { budgetTokens, ...(thinking === false ? { effort: "none" } : thinking === true ? { effort: effort ?? "medium" } : {}) };
}

function readJson(name: string, given: unknown): unknown {
  if (typeof given !== "string") throw bad(name, `${name} must be JSON text; given ${quote(given)}.`);
  try {
    return parseForeign(given);
  } catch (error) {
    if (error instanceof ZSEError) throw error;
    throw bad(name, `${name} must be JSON text; given ${quote(given)}.`);
  }
}
