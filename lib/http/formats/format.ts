// Owns what a wire format is: how a body of one is read, and how a reply is written in it. A folder beside this file is a format;
// of lib/http, format-registry.ts alone knows them by name. Types only.

import type { Message, Prepared, ReplyOptionsInput, StreamEvent } from "../../types.js";
import type { WireError } from "./wire-error.js";

/** What the model is asked. Of several prompts each has its own choices, in their order. */
export type Ask = { messages: readonly Message[] } | { prompts: readonly WirePrompt[]; suffix?: string };

/** Text, or token ids. */
export type WirePrompt = string | readonly number[];

/** The forms of usage: undefined, beside the last finish_reason; true, a chunk of its own; false, none. */
export type IncludeUsage = boolean | undefined;

/** What of a request decides how its reply is written. */
export interface ReplyForm {
  choices: number;
  /** How many prompts they belong to, one after the other; left out: one. */
  prompts?: number;
  /** The text of each prompt, where the client wants it back before its choices. */
  echoed?: readonly string[] | undefined;
  /** Log-probabilities of prompts are told with their texts. */
  tellsPrompts?: boolean;
  includeUsage: IncludeUsage;
  /** Thoughts are not told. */
  omitsReasoning?: boolean | undefined;
  /** Usage so far with every piece. */
  continuousUsage?: boolean | undefined;
  /** Pieces are padded, so that their lengths on the wire do not tell what they say. Of a request: undefined is as the server would have it. */
  obfuscate?: boolean | undefined;
  /** What else a format's reader tells its writer, such as fields that the reply repeats. */
  echo?: unknown;
}

/** A request, understood. */
export interface WireRequest extends ReplyForm {
  ask: Ask;
  /** Each choice begins with its prompt. */
  echoes?: boolean;
  /** Each choice is its prompt, and nothing is generated. Left out: something is. */
  promptAlone?: boolean;
  /** As the client wrote it. */
  model: string | undefined;
  stream: boolean;
  resumable: boolean;
  /** Where the prompt is too long, the oldest turns are left out of it. Left out: that is an error. */
  truncates?: boolean;
  /** The reply goes on without its client, who comes back for it. Left out: it does not. */
  background?: boolean;
  /** The reply is kept once it has ended, as its writer's kept() has it. Left out: it is not. */
  keep?: boolean;
  options: ReplyOptionsInput;
  /** Fields of the body that mean nothing here. */
  ignored: string[];
  /** What the body calls a field that an error names by another name. Left out: the same. */
  fieldOf?: (param: string) => string;
  /** The model may be taken out of memory, where nobody uses it and it can be opened again; nothing is to be generated. Left out: it is opened. */
  unloads?: boolean;
  /** The whole answer under the reply's model, where nothing is to be generated. `unloaded`: the model was taken out of memory. */
  answer?: (model: string, unloaded: boolean) => object;
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
  /** It holds a piece of what was said, and is to be as long as others. */
  padded?: boolean;
}

/** A reply as it is kept, for requests that go on from it. */
export interface KeptReply {
  /** What the client was given. */
  object: { id: string; output: readonly { id?: string }[] };
  /** What it was asked, all of the conversation before it included. */
  input: readonly object[];
}

/** The kept replies of a server, as formats see them. */
export interface Memory {
  reply(id: string): KeptReply | undefined;
  /** A piece of a kept reply's output, by an id of its own. */
  item(id: string): object | undefined;
}

/** Turns the events of a reply's choices into frames. */
export interface FrameWriter {
  /** What can be said before the first event, for those who want it early. */
  begin(): Frame[];
  /** None for what the format has no place for. `tokens`: of the choice so far, where its stream tells. */
  event(choice: number, event: StreamEvent, tokens?: number): Frame[];
  /** A sign of life that says nothing. */
  ping(): Frame;
  /** The reply has failed; nothing follows. A stream that just ends would look whole. */
  fail(error: WireError): Frame[];
  /** What one reader is told that gets no more of a reply which goes on. Left out: as fail(). */
  lastWord?(error: WireError): Frame[];
  /** All choices have ended; nothing follows. */
  end(): Frame[];
  /** The reply as far as it is. Formats without it keep none. */
  kept?(): KeptReply;
}

/** Gathers the events of a reply that is sent as one object. */
export interface Collector {
  event(choice: number, event: StreamEvent): void;
  /** Once every choice has its finish event. */
  object(): object;
  /** The reply has failed. Only those are told that have kept(). */
  fail?(error: WireError): void;
  kept?(): KeptReply;
}

/** A request beside those for replies, as its route sees it. */
export interface SideCall {
  /** What the route's path has in place of `:id`. */
  id: string;
  query: URLSearchParams;
  /** undefined where the route has none. */
  body: unknown;
  signal?: AbortSignal | undefined;
  /** Told with errors, in formats that have a place for it. */
  requestId?: string | undefined;
}

/** What a server does for such requests. */
export interface SideDesk {
  readonly memory: Memory;
  /** Forgets a kept reply, and ends it where it still runs. False where there is none. */
  forget(id: string): boolean;
  /** Ends a reply in the background. False where there is none. */
  cancel(id: string): boolean;
  /** Tokens of the prompt that a body, read as a request for a reply, comes to. */
  promptTokens(body: unknown): Promise<number>;
  /** That prompt. */
  render(body: unknown): Promise<{ prompt: string }>;
  /** Computes that prompt ahead; `key` is the caller's. Ended by the call's signal. */
  prepare(body: unknown): Promise<Prepared>;
}

/** An object, or the frames of a resumable stream after the one with this number. */
export type SideAnswer = { object: object } | { resume: string; after: number; said: string };

/** A route beside those that replies come from. */
export interface SideRoute {
  readonly method: "GET" | "POST" | "DELETE";
  /** With at most one parameter, `:id`. */
  readonly path: string;
  /** It has a body, which is JSON. */
  readonly body?: true;
  /** @throws WireError */
  answer(call: SideCall, desk: SideDesk): SideAnswer | Promise<SideAnswer>;
}

export interface WireFormat {
  /** How frames are told apart: as Server-Sent Events, unless it says that each is a line of JSON. */
  readonly framing?: "lines";
  /** Paths that are answered in it. */
  readonly routes: readonly string[];
  /** What else is asked of it. Left out: nothing. */
  readonly sides?: readonly SideRoute[];
  /** Its streams say at once that they have begun, whether that is asked for or not. */
  readonly beginsEarly?: true;
  /** The field of a request that says what is asked: what only the model can find wrong is wrong with it. */
  readonly subject: string;
  /** Whether a body that came to no such path is one of this. */
  takes(body: object): boolean;
  /** Whether all that comes to this path is one of this, whatever it looks like; other names may stand before the format's own. Left out: bodies tell. */
  isAt?(path: string): boolean;
  /** @throws WireError 400 naming the field */
  read(body: unknown, maxChoices: number, memory?: Memory): WireRequest;
  envelope(model: string): Envelope;
  writer(envelope: Envelope, form: ReplyForm): FrameWriter;
  collect(envelope: Envelope, form: ReplyForm): Collector;
  /** The body of a refusal. */
  refuse(error: WireError, requestId?: string): object;
}
