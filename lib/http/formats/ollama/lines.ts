// Owns the objects of Ollama's formats: the lines of a stream, and the reply in one piece. Pure (apart from drawing an id and reading the clock); any
// thread. Durations are in nanoseconds.

import type { FinishEvent, StreamEvent, TokenLogprobs, ToolCallEvent } from "../../../types.js";
import type { Collector, Envelope, Frame, FrameWriter } from "../format.js";
import type { WireError } from "../wire-error.js";

export type OllamaKind = "chat" | "generate";

/** What the lines of one reply have in common. */
export interface LineEnvelope extends Envelope {
  /** By performance.now(). */
  began: number;
}

export function newLines(model: string): LineEnvelope {
  const id = `ollama-${crypto.randomUUID().replaceAll("-", "")}`;
  return { id, created: Math.floor(Date.now() / 1000), model, began: performance.now() };
}

/** Of one kind of thing that was said. */
interface Said {
  text?: string;
  thinking?: string;
  calls?: object[];
  logprobs?: readonly TokenLogprobs[] | undefined;
}

/** A reply that was not asked for: the model is there, or is no more, which is all that the client wanted. */
export function loaded(kind: OllamaKind, model: string, unloaded: boolean): object {
  return { ...line(kind, model, {}), done_reason: unloaded ? "unload" : "load", done: true };
}

function line(kind: OllamaKind, model: string, { text = "", thinking, calls, logprobs }: Said): object {
  const thought = thinking === undefined ? {} : { thinking };
  const head = { model, created_at: new Date().toISOString() };
  const told = logprobs === undefined ? {} : { logprobs: logprobs.map(wireLogprob) };
  if (kind === "generate") return { ...head, response: text, ...thought, done: false, ...told };
  const tool_calls = calls === undefined ? {} : { tool_calls: calls };
  return { ...head, message: { role: "assistant", content: text, ...thought, ...tool_calls }, done: false, ...told };
}

function wireLogprob({ token, logprob, bytes, top }: TokenLogprobs): object {
  const others = top.map((one) => ({ token: one.token, logprob: one.logprob, bytes: one.bytes }));
  return { token, logprob, bytes, ...(others.length === 0 ? {} : { top_logprobs: others }) };
}

/** What the last line has beside its emptiness. */
function ending({ reason, usage, timings }: FinishEvent, { began }: LineEnvelope): object {
  const { promptTokens, completionTokens } = usage;
  const evalMs = completionTokens > 1 && timings.tokensPerSecond > 0 ? ((completionTokens - 1) / timings.tokensPerSecond) * 1000 : 0;
  return {
    done: true,
    done_reason: reason === "length" ? "length" : "stop",
    total_duration: nanoseconds(performance.now() - began),
    load_duration: 0,
    prompt_eval_count: promptTokens,
    prompt_eval_duration: nanoseconds(timings.prefillMs),
    eval_count: completionTokens,
    eval_duration: nanoseconds(evalMs),
  };
}

function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6);
}

/** A call is told whole: its arguments are an object. */
class Calls {
  #open: { index: number; id: string; name: string; json: string } | undefined;

  /** @returns the call before it, if this begins another */
  add({ index, id = "", name = "", argumentsDelta }: ToolCallEvent): object[] {
    if (this.#open?.index === index) {
      this.#open.json += argumentsDelta;
      return [];
    }
    const before = this.take();
    this.#open = { index, id, name, json: argumentsDelta };
    return before;
  }

  take(): object[] {
    const open = this.#open;
    this.#open = undefined;
    return open === undefined ? [] : [{ id: open.id, function: { index: open.index, name: open.name, arguments: objectOf(open.json) } }];
  }
}

/** Arguments that were cut off are none. */
function objectOf(json: string): object {
  try {
    const value: unknown = JSON.parse(json === "" ? "{}" : json);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** Turns the events of a reply into lines. */
export class LineWriter implements FrameWriter {
  readonly #kind: OllamaKind;
  readonly #envelope: LineEnvelope;
  readonly #padded: boolean;
  readonly #calls = new Calls();

  constructor(kind: OllamaKind, envelope: Envelope, padded = false) {
    this.#kind = kind;
    this.#padded = padded;
    this.#envelope = { began: performance.now(), ...envelope };
  }

  begin(): Frame[] {
    return [];
  }

  ping(): Frame {
    return this.#line({});
  }

  event(_choice: number, event: StreamEvent): Frame[] {
    switch (event.type) {
      case "text":
        return [...this.#told(), this.#line({ text: event.text, logprobs: event.logprobs })];
      case "reasoning":
        return [...this.#told(), this.#line({ thinking: event.text, logprobs: event.logprobs })];
      case "toolCall":
        return this.#calls.add(event).map((call) => this.#line({ calls: [call] }));
      case "finish":
        return [...this.#told(), this.#line({}, ending(event, this.#envelope))];
      default:
        return [];
    }
  }

  fail({ message }: WireError): Frame[] {
    return [{ data: { error: message } }];
  }

  end(): Frame[] {
    return [];
  }

  #told(): Frame[] {
    return this.#calls.take().map((call) => this.#line({ calls: [call] }));
  }

  #line(said: Said, more: object = {}): Frame {
    const data = { ...line(this.#kind, this.#envelope.model, said), ...more };
    return this.#padded ? { data, padded: true } : { data };
  }
}

/** Gathers the events of a reply that is sent as one object. */
export class WholeReply implements Collector {
  readonly #kind: OllamaKind;
  readonly #envelope: LineEnvelope;
  readonly #open = new Calls();
  readonly #calls: object[] = [];
  #text = "";
  #thinking = "";
  #logprobs: TokenLogprobs[] | undefined;
  #finish: FinishEvent | undefined;

  constructor(kind: OllamaKind, envelope: Envelope) {
    this.#kind = kind;
    this.#envelope = { began: performance.now(), ...envelope };
  }

  event(_choice: number, event: StreamEvent): void {
    if ("logprobs" in event && event.logprobs !== undefined) (this.#logprobs ??= []).push(...event.logprobs);
    if (event.type === "text") this.#text += event.text;
    else if (event.type === "reasoning") this.#thinking += event.text;
    else if (event.type === "toolCall") this.#calls.push(...this.#open.add(event));
    else if (event.type === "finish") this.#finish = event;
  }

  object(): object {
    const calls = [...this.#calls, ...this.#open.take()];
    const said = {
      text: this.#text,
      ...(this.#thinking === "" ? {} : { thinking: this.#thinking }),
      ...(calls.length === 0 ? {} : { calls }),
      logprobs: this.#logprobs,
    };
    return { ...line(this.#kind, this.#envelope.model, said), ...ending(this.#finish!, this.#envelope) };
  }
}
