// Owns replies from a server's event stream (docs/SERVER.md): OpenAI's chat completions, as zstream/sse and `zse serve` speak them. Runs in a page.
//
// With `resumable`, a connection that is lost is taken up again after the last event that came, and a reply is found again by its name after the
// page was loaded anew. Nothing is read from the network before it is asked for, so a page that is slow slows the reply.

import { EventSourceParserStream } from "eventsource-parser/stream";
import type { FinishReason, Message, Usage } from "../types.js";
import { ChatError, LEFT } from "./chat-error.js";
import type { ReplyPiece, ReplySource } from "./source.js";

export interface SseSourceOptions {
  /** Where chat completions are, such as "/v1/chat/completions". */
  url: string;
  /** Where resumable streams are: `…/streams`, without the name. Default: `url` with "streams" in place of "chat/completions". */
  streamsUrl?: string | undefined;
  /** More fields of each request: `model`, `temperature`, `tools`, … */
  body?: Readonly<Record<string, unknown>> | undefined;
  /** More headers of each request, such as `authorization`. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Replies outlive a lost connection and the page. The server must answer at `streamsUrl`. Default true. */
  resumable?: boolean | undefined;
  /** In place of the global one. */
  fetch?: typeof fetch | undefined;
}

/** Times in a row that a lost connection is taken up again: at once, then after pauses (ms) that double. */
const MOST_TRIES = 6;
const FIRST_PAUSE_MS = 250;

/** The part of a chunk that is read. */
interface Chunk {
  id?: string;
  error?: { message?: string; code?: string | null };
  choices?: {
    index: number;
    delta?: {
      content?: string | null;
      reasoning_content?: string | null;
      tool_calls?: { index: number; id?: string; function?: { name?: string; arguments?: string } }[];
    };
    finish_reason?: string | null;
  }[];
  usage?: WireUsage | null;
}

interface WireUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number };
}

/** Replies of a server. */
export function sseSource(options: SseSourceOptions): ReplySource {
  const { url, body = {}, headers = {}, resumable = true } = options;
  const streamsUrl = options.streamsUrl ?? url.replace(/chat\/completions\/?$/, "streams");
  const request: typeof fetch = options.fetch ?? ((...given) => fetch(...given));
  const server: Server = { request, streamsUrl, headers, resumable };
  return {
    open(messages: readonly Message[], signal: AbortSignal) {
      const asked = { ...body, messages, stream: true, ...(resumable ? { stream_options: { resumable: true } } : {}) };
      const first = () =>
        request(url, {
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
          body: JSON.stringify(asked),
          signal,
        });
      return new SseReply(server, first, signal).pieces();
    },
    ...(resumable
      ? {
          resume(name: string, signal: AbortSignal) {
            const again = () => request(`${streamsUrl}/${encodeURIComponent(name)}`, { headers, signal });
            return new SseReply(server, again, signal, name).pieces();
          },
        }
      : {}),
  };
}

interface Server {
  request: typeof fetch;
  streamsUrl: string;
  headers: Readonly<Record<string, string>>;
  resumable: boolean;
}

class SseReply {
  readonly #server: Server;
  readonly #first: () => Promise<Response>;
  readonly #signal: AbortSignal;
  #name: string | undefined;
  /** The id of the last event that came. */
  #last: string | undefined;
  #finish: FinishReason | undefined;
  #usage: Usage | undefined;
  #done = false;

  constructor(server: Server, first: () => Promise<Response>, signal: AbortSignal, name?: string) {
    this.#server = server;
    this.#first = first;
    this.#signal = signal;
    this.#name = name;
  }

  async *pieces(): AsyncGenerator<ReplyPiece> {
    // Where it is resumable, a reply goes on at the server without its connection: one that is stopped is ended there, too.
    const stop = () => {
      if (this.#signal.reason !== LEFT) void this.#delete();
    };
    this.#signal.addEventListener("abort", stop, { once: true });
    try {
      for (let tries = 0; !this.#done; ) {
        const before = this.#last;
        try {
          yield* this.#read(await this.#connect(tries));
          if (this.#done || this.#finish !== undefined) break;
          throw new ChatError("network", "The connection ended before the reply did.");
        } catch (error) {
          if (this.#signal.aborted || (error instanceof ChatError && error.code !== "network")) throw error;
          tries = this.#last === before ? tries + 1 : 1; // it had gone on
          const lost = error instanceof ChatError ? error : new ChatError("network", "The server cannot be reached.", { cause: error });
          if (this.#name === undefined || !this.#server.resumable || tries > MOST_TRIES) throw lost;
          await this.#pause(tries === 1 ? 0 : FIRST_PAUSE_MS * 2 ** (tries - 2));
        }
      }
      yield { type: "finish", reason: this.#finish ?? "stop", usage: this.#usage };
    } finally {
      this.#signal.removeEventListener("abort", stop);
    }
  }

  #connect(tries: number): Promise<Response> {
    if (tries === 0) return this.#first();
    const { request, streamsUrl, headers } = this.#server;
    const last: Record<string, string> = this.#last === undefined ? {} : { "last-event-id": this.#last };
    return request(`${streamsUrl}/${encodeURIComponent(this.#name!)}`, { headers: { ...headers, ...last }, signal: this.#signal });
  }

  async *#read(response: Response): AsyncGenerator<ReplyPiece> {
    if (response.status === 204) {
      this.#done = true; // all of it had come
      return;
    }
    if (!response.ok || response.body === null) throw await refusal(response);
    const text = response.body.pipeThrough(new TextDecoderStream() as never) as unknown as ReadableStream<string>;
    const reader = text.pipeThrough(new EventSourceParserStream()).getReader();
    try {
      for (;;) {
        const { done, value: event } = await reader.read();
        if (done) return;
        if (event.data === "[DONE]") {
          this.#done = true;
          return;
        }
        const chunk = JSON.parse(event.data) as Chunk;
        if (chunk.error !== undefined) throw new ChatError(chunk.error.code ?? "unknown", chunk.error.message ?? "The reply failed.");
        yield* this.#piecesOf(chunk);
        if (event.id !== undefined) this.#last = event.id; // of whole events, read
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  *#piecesOf({ id, choices = [], usage }: Chunk): Generator<ReplyPiece> {
    if (this.#name === undefined && id !== undefined) {
      this.#name = id;
      if (this.#server.resumable) yield { type: "name", name: id };
    }
    if (usage) this.#usage = usageOf(usage);
    for (const { index, delta, finish_reason } of choices) {
      if (index !== 0) continue;
      if (delta?.reasoning_content) yield { type: "reasoning", text: delta.reasoning_content };
      if (delta?.content) yield { type: "text", text: delta.content };
      for (const { index: call, id: callId, function: said } of delta?.tool_calls ?? []) {
        const begins = { ...(callId === undefined ? {} : { id: callId }), ...(said?.name === undefined ? {} : { name: said.name }) };
        yield { type: "toolCall", index: call, argumentsDelta: said?.arguments ?? "", ...begins };
      }
      if (finish_reason) this.#finish = finish_reason === "tool_calls" ? "toolCalls" : finish_reason === "length" ? "length" : "stop";
    }
  }

  async #delete(): Promise<void> {
    if (this.#name === undefined || !this.#server.resumable || this.#done) return;
    const { request, streamsUrl, headers } = this.#server;
    await request(`${streamsUrl}/${encodeURIComponent(this.#name)}`, { method: "DELETE", headers, keepalive: true }).catch(() => {});
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      this.#signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(this.#signal.reason);
      });
    });
  }
}

async function refusal(response: Response): Promise<ChatError> {
  const { error } = (await response.json().catch(() => ({}))) as Chunk;
  const wait = response.headers.get("retry-after-ms");
  return new ChatError(error?.code ?? `http_${response.status}`, error?.message ?? `The server answered ${response.status}.`, {
    status: response.status,
    ...(wait === null ? {} : { retryAfterMs: Number(wait) }),
  });
}

function usageOf({ prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details }: WireUsage): Usage {
  return {
    promptTokens: prompt_tokens,
    completionTokens: completion_tokens,
    totalTokens: total_tokens,
    cachedTokens: prompt_tokens_details?.cached_tokens ?? 0,
  };
}
