// Owns a transport of the AI SDK's useChat(): its chats over the event stream of a server, or over a model of the page's own. Runs in a page; of the
// AI SDK it takes types alone.

import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import type { Message } from "../types.js";
import { asChatError, LEFT } from "./chat-error.js";
import type { ChatKeeper } from "./chat-store.js";
import { modelSource } from "./model-source.js";
import type { ReplyPiece, ReplySource, StreamingModel } from "./source.js";
import { type SseSourceOptions, sseSource } from "./sse-source.js";

/** One of `url` and `model` says where replies come from. */
export interface ZStreamTransportOptions extends Partial<SseSourceOptions> {
  /** A model that the page has itself, such as `openModel()` of zstream/electron gives. */
  model?: StreamingModel | undefined;
  /** Options of each reply of `model`. */
  options?: Parameters<typeof modelSource>[1];
  /** Where the names of replies that are on their way are kept, for `resume: true` of useChat(). Default sessionStorage. */
  store?: ChatKeeper | undefined;
}

/**
 * A transport for useChat() of `@ai-sdk/react`: `useChat({ id: "main", transport: new ZStreamTransport({ url: "/v1/chat/completions" }), resume: true })`.
 * @throws TypeError where neither `url` nor `model` is given
 */
export class ZStreamTransport<Ui extends UIMessage = UIMessage> implements ChatTransport<Ui> {
  /** A reply that is taken up again comes from its beginning. */
  readonly resumeStreamIsReplay = true;
  readonly #options: ZStreamTransportOptions;
  readonly #store: ChatKeeper | undefined;

  constructor(options: ZStreamTransportOptions) {
    this.#options = options;
    this.#sourceWith({}, {});
    this.#store = options.store ?? (globalThis as { sessionStorage?: ChatKeeper }).sessionStorage;
  }

  /** Asks for a reply to a conversation. */
  async sendMessages({
    chatId,
    messages,
    abortSignal,
    headers,
    body,
  }: Parameters<ChatTransport<Ui>["sendMessages"]>[0]): Promise<ReadableStream<UIMessageChunk>> {
    const source = this.#sourceWith(plain(headers), body ?? {});
    const conversation = messages.flatMap(toMessages);
    return this.#chunks(chatId, abortSignal, (signal) => source.open(conversation, signal));
  }

  /** The reply that was on its way when the page was left, from its beginning; null where there is none. */
  async reconnectToStream({
    chatId,
    abortSignal,
    headers,
    body,
  }: Parameters<ChatTransport<Ui>["reconnectToStream"]>[0]): Promise<ReadableStream<UIMessageChunk> | null> {
    const name = this.#store?.getItem(keyOf(chatId)) ?? null;
    const { resume } = this.#sourceWith(plain(headers), body ?? {});
    if (name === null || resume === undefined) return null;
    return this.#chunks(chatId, abortSignal, (signal) => resume(name, signal));
  }

  #sourceWith(headers: Record<string, string>, body: object): ReplySource {
    const { url, model, options, store: _, ...sse } = this.#options;
    if (model !== undefined) return modelSource(model, options);
    if (url === undefined) throw new TypeError("ZStreamTransport needs one of url and model.");
    return sseSource({ ...sse, url, headers: { ...sse.headers, ...headers }, body: { ...sse.body, ...body } });
  }

  /** Taken only on demand, so that a page which is slow slows the reply. */
  #chunks(chatId: string, abortSignal: AbortSignal | undefined, open: (signal: AbortSignal) => AsyncIterable<ReplyPiece>) {
    const leaving = new AbortController();
    const signal = abortSignal === undefined ? leaving.signal : AbortSignal.any([abortSignal, leaving.signal]);
    const chunks = this.#translate(chatId, open(signal));
    return new ReadableStream<UIMessageChunk>(
      {
        async pull(controller) {
          const { done, value } = await chunks.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
        cancel: () => leaving.abort(LEFT),
      },
      { highWaterMark: 0 },
    );
  }

  async *#translate(chatId: string, pieces: AsyncIterable<ReplyPiece>): AsyncGenerator<UIMessageChunk> {
    const key = keyOf(chatId);
    const parts = new OpenParts();
    yield { type: "start" };
    yield { type: "start-step" };
    try {
      for await (const piece of pieces) {
        if (piece.type === "name") this.#store?.setItem(key, piece.name);
        else if (piece.type === "finish") {
          yield* parts.end();
          yield { type: "finish-step" };
          const { reason } = piece;
          yield { type: "finish", finishReason: reason === "toolCalls" ? "tool-calls" : reason === "length" ? "length" : "stop" };
        } else yield* parts.add(piece);
      }
      this.#store?.removeItem(key);
    } catch (error) {
      this.#store?.removeItem(key);
      if ((error as { name?: string }).name === "AbortError") throw error;
      const { code, message } = asChatError(error);
      yield { type: "error", errorText: `${code}: ${message}` };
    }
  }
}

/** The parts of a message: text and thoughts have a beginning and an end, calls of tools are whole at the end. */
class OpenParts {
  #kind: "text" | "reasoning" | undefined;
  #number = 0;
  readonly #calls: { id: string; name: string; text: string }[] = [];

  *add(piece: Exclude<ReplyPiece, { type: "name" | "finish" }>): Generator<UIMessageChunk> {
    if (piece.type === "toolCall") {
      yield* this.#close();
      const known = this.#calls[piece.index];
      const call = (this.#calls[piece.index] ??= { id: piece.id ?? `call_${piece.index}`, name: piece.name ?? "", text: "" });
      if (known === undefined) yield { type: "tool-input-start", toolCallId: call.id, toolName: call.name, dynamic: true };
      call.text += piece.argumentsDelta;
      if (piece.argumentsDelta !== "") yield { type: "tool-input-delta", toolCallId: call.id, inputTextDelta: piece.argumentsDelta };
      return;
    }
    if (this.#kind !== piece.type) {
      yield* this.#close();
      this.#kind = piece.type;
      this.#number += 1;
      yield { type: `${piece.type}-start`, id: String(this.#number) };
    }
    yield { type: `${piece.type}-delta`, id: String(this.#number), delta: piece.text };
  }

  *end(): Generator<UIMessageChunk> {
    yield* this.#close();
    for (const { id, name, text } of this.#calls) {
      const call = { toolCallId: id, toolName: name, dynamic: true };
      try {
        yield { type: "tool-input-available", ...call, input: JSON.parse(text === "" ? "{}" : text) };
      } catch {
        yield { type: "tool-input-error", ...call, input: text, errorText: "The reply ended within this call." };
      }
    }
  }

  *#close(): Generator<UIMessageChunk> {
    if (this.#kind !== undefined) yield { type: `${this.#kind}-end`, id: String(this.#number) };
    this.#kind = undefined;
  }
}

/** A message of the page's as a server takes it: its text, the calls in it, and what came of them as messages of their own. */
function toMessages({ role, parts }: UIMessage): Message[] {
  const content = parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  if (role !== "assistant") return [{ role, content }];
  const calls = parts.flatMap((part) => callOf(part as ToolPart));
  const said: Message = { role, content, ...(calls.length === 0 ? {} : { tool_calls: calls.map(({ call }) => call) }) };
  const results = calls.flatMap(({ call, result }): Message[] =>
    result === undefined ? [] : [{ role: "tool", tool_call_id: call.id, content: result }],
  );
  return content === "" && calls.length === 0 ? [] : [said, ...results];
}

interface ToolPart {
  type: string;
  toolName?: string;
  toolCallId?: string;
  input?: unknown;
  output?: unknown;
  errorText?: string;
}

function callOf({ type, toolName, toolCallId, input, output, errorText }: ToolPart) {
  const name = type === "dynamic-tool" ? toolName : /^tool-(.+)$/.exec(type)?.[1];
  if (name === undefined || toolCallId === undefined) return [];
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  const result = errorText ?? (output === undefined ? undefined : text(output));
  return [{ call: { id: toolCallId, type: "function" as const, function: { name, arguments: JSON.stringify(input ?? {}) } }, result }];
}

function keyOf(chatId: string): string {
  return `zstream:reply:${chatId}`;
}

function plain(headers: Record<string, string> | Headers | undefined): Record<string, string> {
  return headers instanceof Headers ? Object.fromEntries(headers.entries()) : { ...headers };
}
