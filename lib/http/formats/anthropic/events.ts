// Owns the objects of Anthropic's format: the events of a stream, and the message in one piece. Pure (apart from drawing an id); any thread.
//
// A message is a list of blocks (thinking, text, tool_use), of which one is open at a time. Clients lose a block that is never stopped.

import { Allow, parse as parsePartial } from "partial-json";

import type { FinishEvent, StreamEvent, ToolCallEvent, Usage } from "../../../types.js";
import type { Collector, Envelope, Frame, FrameWriter } from "../format.js";
import { newId } from "../ids.js";
import type { WireError } from "../wire-error.js";
import { errorBody } from "./errors.js";

/** Thoughts are not signed here. Clients send back only those that have a signature. */
const SIGNATURE = "zstream";

export function newMessage(model: string): Envelope {
  return { id: newId("msg"), created: Math.floor(Date.now() / 1000), model };
}

type StopReason = "end_turn" | "max_tokens" | "stop_sequence" | "tool_use";

function stopReason({ reason, stopString }: FinishEvent, calledTools: boolean): StopReason {
  if (reason === "length") return "max_tokens";
  if (calledTools || reason === "toolCalls") return "tool_use";
  return stopString === undefined ? "end_turn" : "stop_sequence";
}

function stopOf(finish: FinishEvent, calledTools: boolean): object {
  const stop_reason = stopReason(finish, calledTools);
  return { stop_reason, stop_sequence: stop_reason === "stop_sequence" ? finish.stopString : null };
}

/** input_tokens are those that were computed; those of the cache are told beside them. */
function wireUsage({ promptTokens, cachedTokens, completionTokens, reasoningTokens }: Partial<Usage>): object {
  return {
    input_tokens: (promptTokens ?? 0) - (cachedTokens ?? 0),
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens ?? 0,
    output_tokens: completionTokens ?? 0,
    ...(reasoningTokens === undefined ? {} : { output_tokens_details: { thinking_tokens: reasoningTokens } }),
  };
}

function messageObject({ id, model }: Envelope, content: object[], stop: object, usage: object): object {
  return { id, type: "message", role: "assistant", model, content, ...stop, usage };
}

type Event = { type: string } & Record<string, unknown>;

/** Turns the events of a reply into those of a Messages stream. */
export class MessageWriter implements FrameWriter {
  readonly #envelope: Envelope;
  readonly #omitsThinking: boolean;
  readonly #padded: boolean;
  #begun = false;
  /** Of the newest block, open or not. */
  #index = -1;
  /** The open block: "text", "thinking", or the number of a call. */
  #open: "text" | "thinking" | number | undefined;
  #calledTools = false;
  /** What is known of the prompt when the message begins. */
  #prompt: Partial<Usage> = {};

  /** `omitsThinking`: the client wants to know that the model thought, and not what. */
  constructor(envelope: Envelope, omitsThinking: boolean, padded = false) {
    this.#envelope = envelope;
    this.#omitsThinking = omitsThinking;
    this.#padded = padded;
  }

  begin(): Frame[] {
    if (this.#begun) return [];
    this.#begun = true;
    const message = messageObject(this.#envelope, [], { stop_reason: null, stop_sequence: null }, wireUsage(this.#prompt));
    return [this.#frame({ type: "message_start", message })];
  }

  ping(): Frame {
    return { event: "ping", data: { type: "ping" } };
  }

  event(_choice: number, event: StreamEvent): Frame[] {
    switch (event.type) {
      case "progress":
        this.#prompt = { promptTokens: event.promptTokens, cachedTokens: event.cachedTokens };
        return this.begin();
      case "text":
        return this.#say("text", { type: "text", text: "" }, { type: "text_delta", text: event.text });
      case "reasoning": {
        const delta = this.#omitsThinking ? undefined : { type: "thinking_delta", thinking: event.text };
        return this.#say("thinking", { type: "thinking", thinking: "", signature: "" }, delta);
      }
      case "toolCall":
        return this.#call(event);
      case "finish":
        return this.#finish(event);
      default:
        return [];
    }
  }

  fail(error: WireError): Frame[] {
    return [{ event: "error", data: errorBody(error) }];
  }

  end(): Frame[] {
    return [this.#frame({ type: "message_stop" })];
  }

  #call({ index, id, name, argumentsDelta }: ToolCallEvent): Frame[] {
    this.#calledTools = true;
    const delta = argumentsDelta === "" ? undefined : { type: "input_json_delta", partial_json: argumentsDelta };
    return this.#say(index, { type: "tool_use", id: id ?? "", name: name ?? "", input: {} }, delta);
  }

  #say(kind: "text" | "thinking" | number, block: object, delta: object | undefined): Frame[] {
    const frames = this.begin();
    if (this.#open !== kind) {
      frames.push(...this.#stop());
      this.#open = kind;
      this.#index += 1;
      frames.push(this.#frame({ type: "content_block_start", index: this.#index, content_block: block }));
    }
    if (delta !== undefined) frames.push(this.#delta(delta));
    return frames;
  }

  #delta(delta: object): Frame {
    return this.#frame({ type: "content_block_delta", index: this.#index, delta });
  }

  /** Starts of blocks tell a tool's name, and the end which stop string it was: all are padded. */
  #frame(data: Event): Frame {
    const said = { event: data.type, data };
    return this.#padded ? { ...said, padded: true } : said;
  }

  #stop(): Frame[] {
    if (this.#open === undefined) return [];
    const signed = this.#open === "thinking" ? [this.#delta({ type: "signature_delta", signature: SIGNATURE })] : [];
    this.#open = undefined;
    return [...signed, this.#frame({ type: "content_block_stop", index: this.#index })];
  }

  #finish(event: FinishEvent): Frame[] {
    const delta = stopOf(event, this.#calledTools);
    return [...this.begin(), ...this.#stop(), this.#frame({ type: "message_delta", delta, usage: wireUsage(event.usage) })];
  }
}

type Block =
  | { type: "text"; text: string }
  | { type: "thinking"; thinking: string; signature: string }
  | { type: "tool_use"; id: string; name: string; call: number; json: string };

/** Gathers the events of a reply that is sent as one message. */
export class MessageCollector implements Collector {
  readonly #envelope: Envelope;
  readonly #omitsThinking: boolean;
  readonly #blocks: Block[] = [];
  #finish: FinishEvent | undefined;

  /** `omitsThinking`: the client wants to know that the model thought, and not what. */
  constructor(envelope: Envelope, omitsThinking: boolean) {
    this.#envelope = envelope;
    this.#omitsThinking = omitsThinking;
  }

  event(_choice: number, event: StreamEvent): void {
    const last = this.#blocks.at(-1);
    if (event.type === "finish") this.#finish = event;
    else if (event.type === "text") {
      if (last?.type === "text") last.text += event.text;
      else this.#blocks.push({ type: "text", text: event.text });
    } else if (event.type === "reasoning") {
      const thinking = this.#omitsThinking ? "" : event.text;
      if (last?.type === "thinking") last.thinking += thinking;
      else this.#blocks.push({ type: "thinking", thinking, signature: SIGNATURE });
    } else if (event.type === "toolCall") {
      const { index, id = "", name = "", argumentsDelta } = event;
      if (last?.type === "tool_use" && last.call === index) last.json += argumentsDelta;
      else this.#blocks.push({ type: "tool_use", id, name, call: index, json: argumentsDelta });
    }
  }

  object(): object {
    const finish = this.#finish!;
    const content = this.#blocks.map((block) => {
      if (block.type !== "tool_use") return block;
      const { type, id, name, json } = block;
      return { type, id, name, input: inputOf(json) };
    });
    const called = this.#blocks.some(({ type }) => type === "tool_use");
    return messageObject(this.#envelope, content, stopOf(finish, called), wireUsage(finish.usage));
  }
}

/** An object, always: of arguments that were cut off by max_tokens, what is there. */
function inputOf(json: string): object {
  const input = parsed(json, JSON.parse) ?? parsed(json, (text) => parsePartial(text, CUT_OFF));
  return typeof input === "object" && input !== null && !Array.isArray(input) ? input : {};
}

/** No numbers and words that may go on. */
const CUT_OFF = Allow.STR | Allow.OBJ | Allow.ARR;

function parsed(json: string, parse: (json: string) => unknown): unknown {
  try {
    return parse(json);
  } catch {
    return undefined;
  }
}
