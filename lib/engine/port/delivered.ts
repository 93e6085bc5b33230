// Owns what a stream has given its reader, so that another engine can give the rest: how far each part of the reply has come, the ids of its tokens,
// and the credit that is out. Of what an engine gives again from the start, it leaves what is new. Pure; JS thread that made the model.
//
// Engines cut a reply into events in more than one way, since parts of it wait for a parser. So characters are counted, not events.

import { NativeEventKind as Kind, type NativeTokenLogprobs, type NativeToolCall } from "../../addon/contract.js";

/** What is left of an event. */
export interface Fresh {
  kind: number;
  payload: unknown;
  tokens: number;
  logprobs: readonly NativeTokenLogprobs[] | undefined;
}

/** How far a reply has come: characters of its parts, and numbers of what goes with them. */
class Extent {
  text = 0;
  reasoning = 0;
  /** Of each call, the characters of its arguments; its name stands before them. */
  calls: number[] = [];
  malformed = 0;
  logprobs = 0;
  /** Of the prompt's tokens, those whose log-probabilities were told. */
  prompt = 0;
  /** Credit. */
  tokens = 0;
  /** Tokens whose ids were told. */
  drawn = 0;
}

export class Delivered {
  /** Ids of the reply's tokens, as far as they were told: what the reader has comes of these. */
  readonly drawn: number[] = [];
  /** What the reader has, and what the engine that runs now has given. */
  readonly #had = new Extent();
  #seen = this.#had;
  /** Credit that the reader gave back in all, and of that, what the engine that runs now was given. */
  #acked = 0;
  #ackedHere = 0;

  get any(): boolean {
    return this.#had.tokens > 0;
  }

  /** An engine begins it anew. One that is given the reply's tokens tells those of the prompt no more: they were all told before the first of them. */
  restart(): void {
    this.#seen = new Extent();
    if (this.drawn.length > 0) this.#seen.prompt = this.#had.prompt;
    this.#ackedHere = 0;
  }

  /** Whether an engine gives again what the reader has. */
  get catchingUp(): boolean {
    return this.#seen !== this.#had;
  }

  /** The reader gives back credit. Returns what of it the engine is due. */
  ack(tokens: number): number {
    this.#acked += tokens;
    return this.#due();
  }

  tell(token: number): void {
    this.drawn[this.#seen.drawn++] = token;
    this.#had.drawn = this.drawn.length;
  }

  /** Counts an event of an engine that gives nothing again. */
  count(kind: number, payload: unknown, tokens: number, logprobs: number): void {
    const had = this.#had;
    had.tokens += tokens;
    if (kind === Kind.Prompt) had.prompt += logprobs;
    else had.logprobs += logprobs;
    if (kind === Kind.Text) had.text += (payload as string).length;
    else if (kind === Kind.Reasoning) had.reasoning += (payload as string).length;
    else if (kind === Kind.ToolCall) {
      const { index, argumentsDelta } = payload as NativeToolCall;
      had.calls[index] = (had.calls[index] ?? 0) + argumentsDelta.length;
    } else if (kind === Kind.MalformedCall) had.malformed++;
  }

  /** Of an event of an engine that gives it again, what the reader has not; and the credit that the engine is due at once, since it was given back before. */
  take(
    kind: number,
    payload: unknown,
    tokens: number,
    logprobs: readonly NativeTokenLogprobs[] = [],
  ): { fresh: Fresh | undefined; due: number } {
    const told = this.#advance(kind === Kind.Prompt ? "prompt" : "logprobs", logprobs.length);
    const left = this.#left(kind, payload);
    const credit = this.#advance("tokens", tokens);
    let fresh: Fresh | undefined;
    const more = told === 0 ? undefined : logprobs.slice(logprobs.length - told);
    if (kind === Kind.Prompt) fresh = told === 0 ? undefined : { kind, payload, tokens: credit, logprobs: more };
    else if (left !== undefined) fresh = { kind, payload: left, tokens: Math.max(1, credit), logprobs: more };
    else if (kind === Kind.Hidden ? credit > 0 : more !== undefined)
      fresh = { kind: Kind.Hidden, payload: undefined, tokens: Math.max(1, credit), logprobs: more };
    else this.#acked += credit; // nobody sees it, so nobody gives it back
    this.#catchUp();
    return { fresh, due: this.#due() };
  }

  /** undefined: the reader has all of it. */
  #left(kind: number, payload: unknown): unknown {
    if (kind === Kind.Text || kind === Kind.Reasoning) {
      const text = payload as string;
      const left = this.#advance(kind === Kind.Text ? "text" : "reasoning", text.length);
      return left === 0 ? undefined : text.slice(text.length - left);
    }
    if (kind === Kind.ToolCall) return this.#leftOfCall(payload as NativeToolCall);
    if (kind === Kind.MalformedCall) return this.#advance("malformed", 1) === 0 ? undefined : payload;
    return undefined;
  }

  #leftOfCall(call: NativeToolCall): NativeToolCall | undefined {
    const { index, argumentsDelta } = call;
    const { calls: seen } = this.#seen;
    const { calls: had } = this.#had;
    const isNew = had[index] === undefined;
    seen[index] = (seen[index] ?? 0) + argumentsDelta.length;
    const left = Math.max(0, seen[index] - (had[index] ?? 0));
    had[index] = Math.max(had[index] ?? 0, seen[index]);
    if (isNew) return call;
    return left === 0 ? undefined : { index, argumentsDelta: argumentsDelta.slice(argumentsDelta.length - left) };
  }

  /** Returns how much of it is new. */
  #advance(part: "text" | "reasoning" | "malformed" | "logprobs" | "prompt" | "tokens", by: number): number {
    const seen = (this.#seen[part] += by);
    const fresh = Math.max(0, seen - this.#had[part]);
    this.#had[part] += fresh;
    return Math.min(fresh, by);
  }

  #catchUp(): void {
    const [seen, had] = [this.#seen, this.#had];
    const parts = ["text", "reasoning", "malformed", "logprobs", "prompt", "tokens", "drawn"] as const;
    if (parts.some((part) => seen[part] < had[part]) || had.calls.some((length, i) => (seen.calls[i] ?? -1) < length)) return;
    this.#seen = had;
  }

  #due(): number {
    const due = Math.min(this.#seen.tokens, this.#acked) - this.#ackedHere;
    this.#ackedHere += due;
    return due;
  }
}
