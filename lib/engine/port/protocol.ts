// Owns what an engine and whoever uses it from elsewhere say to each other: plain data for structured clones, under one version number.
// What comes from the user's side is checked before anything is done with it. Pure; any thread.
//
// One message a turn of the event loop goes to the host, with all that was asked in it; one message a decode step comes back, with the
// events of all streams. Credit crosses as it is, so neither end ever holds more than streams × highWaterMark tokens for the other.

import type { NativeEngineOptions, NativeRequest, NativeTokenLogprobs } from "../../addon/contract.js";
import { quote } from "../../base/quote.js";
import type { EngineStats } from "../../types.js";
import { LARGEST_ID, NO_STATS, type Question, type StreamId } from "../link.js";

/** Grows with every change that an older end would misread. */
export const PROTOCOL_VERSION = 1;

/** The first message to a host, once. */
export interface OpenMessage {
  type: "open";
  version: number;
  path: string;
  options: NativeEngineOptions;
}

/** What was asked in one turn of the event loop. Credit comes first: what was opened in the same turn has had none. */
export interface TurnMessage {
  type: "turn";
  /** Pairs [stream id, tokens], flat; each stream once. */
  acks: readonly number[];
  commands: readonly Command[];
}

export type Command =
  | readonly ["submit", StreamId, NativeRequest]
  | readonly ["cancel", StreamId]
  | readonly ["endReasoning", StreamId]
  | readonly ["ask", number, Question]
  | readonly ["withdraw", number]
  | readonly ["endTurn"];

/** Answered by a PongMessage as soon as the host's thread is free. */
export interface PingMessage {
  type: "ping";
}

/** Every stream ends, the model is freed; a batch with Closed is the last message. */
export interface CloseMessage {
  type: "close";
}

export type ToHost = OpenMessage | TurnMessage | PingMessage | CloseMessage;

/** The news of one decode step, of all streams: lib/addon/contract.ts describes them. */
export interface BatchMessage {
  type: "batch";
  /** Three numbers for each payload. */
  heads: readonly number[];
  payloads: readonly unknown[];
  logprobs?: readonly (readonly NativeTokenLogprobs[] | undefined)[];
  drawn?: readonly number[];
  stats: PackedStats;
}

/** How the engine is, of itself. */
export interface PongMessage {
  type: "pong";
  stats: PackedStats;
  /** For how long (ms) the step under way has been computed already; 0 where there is none. */
  stepMs: number;
  /** The longest step so far (ms); 0 before the first. */
  longestStepMs: number;
}

export type FromHost = BatchMessage | PongMessage;

/** The numbers of EngineStats, by STATS. */
export type PackedStats = readonly number[];
const STATS = Object.keys(NO_STATS) as (keyof typeof NO_STATS)[];

export function packStats(stats: EngineStats): PackedStats {
  return STATS.map((name) => stats[name] ?? 0);
}

export function unpackStats(packed: PackedStats): EngineStats {
  const stats = { ...NO_STATS };
  STATS.forEach((name, i) => {
    stats[name] = packed[i] ?? 0;
  });
  return stats;
}

/** A message that no end of this version sends. */
export class ProtocolError extends Error {}

/**
 * What came to a host, checked as hostile input in all but the insides of requests, questions and options: those are for who reads them.
 * @throws ProtocolError
 */
export function readToHost(message: unknown): ToHost {
  const { type, ...fields } = asRecord(message, "a message");
  switch (type) {
    case "open":
      if (!Number.isSafeInteger(fields.version)) throw wrong("open.version", "a whole number", fields.version);
      if (typeof fields.path !== "string") throw wrong("open.path", "a string", fields.path);
      asRecord(fields.options, "open.options");
      return message as OpenMessage;
    case "turn":
      checkAcks(fields.acks);
      if (!Array.isArray(fields.commands)) throw wrong("turn.commands", "an array", fields.commands);
      for (const command of fields.commands) checkCommand(command);
      return message as TurnMessage;
    case "ping":
    case "close":
      return message as PingMessage | CloseMessage;
    default:
      throw wrong("a message's type", '"open", "turn", "ping" or "close"', type);
  }
}

function checkAcks(acks: unknown): void {
  if (!Array.isArray(acks) || acks.length % 2 !== 0) throw wrong("turn.acks", "pairs of numbers", acks);
  for (let i = 0; i < acks.length; i += 2) {
    if (!isId(acks[i])) throw wrong("an ack's stream", ID, acks[i]);
    const tokens: unknown = acks[i + 1];
    if (!Number.isInteger(tokens) || (tokens as number) < 0 || (tokens as number) >= 2 ** 31) {
      throw wrong("an ack's tokens", "a whole number from 0 to 2147483647", tokens);
    }
  }
}

function checkCommand(command: unknown): void {
  if (!Array.isArray(command)) throw wrong("a command", "an array", command);
  const [name, id, subject] = command as unknown[];
  if (name === "endTurn") return;
  if (name !== "submit" && name !== "cancel" && name !== "endReasoning" && name !== "ask" && name !== "withdraw") {
    throw wrong("a command's name", '"submit", "cancel", "endReasoning", "ask", "withdraw" or "endTurn"', name);
  }
  if (!isId(id)) throw wrong(`the number of "${name}"`, ID, id);
  if (name === "submit" || name === "ask") asRecord(subject, `what "${name}" is given`);
}

const ID = `a whole number from 1 to ${LARGEST_ID}`;

function isId(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= LARGEST_ID;
}

function asRecord(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrong(what, "an object", value);
}

function wrong(what: string, allowed: string, given: unknown): ProtocolError {
  return new ProtocolError(`${what} must be ${allowed}; given ${quote(given)}.`);
}
