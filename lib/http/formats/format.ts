// Owns what a wire format is: how a body of one is read, and how a reply is written in it. A folder beside this file is a format;
// of lib/http, format-registry.ts alone knows them by name. Types only.

import type { Message, ReplyOptionsInput, StreamEvent } from "../../types.js";
import type { WireError } from "./wire-error.js";

/** What the model is asked. */
export type Ask = { messages: readonly Message[] } | { prompt: string };

/** The forms of usage: undefined, beside the last finish_reason; true, a chunk of its own; false, none. */
export type IncludeUsage = boolean | undefined;

/** A request, understood. */
export interface WireRequest {
  ask: Ask;
  /** As the client wrote it. */
  model: string | undefined;
  stream: boolean;
  choices: number;
  includeUsage: IncludeUsage;
  resumable: boolean;
  options: ReplyOptionsInput;
  /** Options that the client has written under other names, and these: for errors. The longest first. */
  written?: ReadonlyMap<string, string> | undefined;
  /** Fields of the body that mean nothing here. */
  ignored: string[];
}

/** What every object of one reply has in common. */
export interface Envelope {
  id: string;
  /** Seconds since 1970. */
  created: number;
  model: string;
}

/** One event of a stream: `data` is an object that becomes one line of JSON, or text as it is. */
export interface Frame {
  event?: string;
  data: object | string;
}

/** Turns the events of a reply's choices into frames. */
export interface FrameWriter {
  /** What can be said before the first event, for those who want it early. */
  begin(): Frame[];
  /** None for what the format has no place for. */
  event(choice: number, event: StreamEvent): Frame[];
  /** A sign of life that says nothing. */
  ping(): Frame;
  /** The reply has failed; nothing follows. A stream that just ends would look whole. */
  fail(error: WireError): Frame[];
  /** All choices have ended; nothing follows. */
  end(): Frame[];
}

/** Gathers the events of a reply that is sent as one object. */
export interface Collector {
  event(choice: number, event: StreamEvent): void;
  /** Once every choice has its finish event. */
  object(): object;
}

export interface WireFormat {
  /** Paths that are answered in it. */
  readonly routes: readonly string[];
  /** The field of a request that says what is asked: what only the model can find wrong is wrong with it. */
  readonly subject: string;
  /** Whether a body that came to no path of a format is one of this. */
  takes(body: object): boolean;
  /** @throws WireError 400 naming the field */
  read(body: unknown, maxChoices: number): WireRequest;
  envelope(model: string): Envelope;
  writer(envelope: Envelope, choices: number, includeUsage: IncludeUsage): FrameWriter;
  collect(envelope: Envelope, choices: number): Collector;
  /** The body of a refusal. */
  refuse(error: WireError): object;
}
