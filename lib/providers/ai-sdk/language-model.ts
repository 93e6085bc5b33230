// Owns a model as the AI SDK sees it. JS thread of the model. Works on anything that streams as a ZSE does, and imports nothing native.
//
// The stream that the SDK is given pulls: an event of the engine is taken when a reader asks for a part, never before. So a reader that stops
// parks the stream in the engine, as it does with any other consumer of it.

import { ZSEError } from "../../errors.js";
import { type Rule, readOptions } from "../../options/rules.js";
import type { Message, ReplyOptionsInput, StreamEvent } from "../../types.js";
import { checkModel, type EventStream, eventsOf, type StreamingModel } from "../model.js";
import { type ReadCall, readCall } from "./call.js";
import { PartWriter } from "./parts.js";
import { messagesOf } from "./prompt.js";
import { readName } from "./settings.js";
import type {
  CallOptions,
  ContentPart,
  GenerateResult,
  ResponseMetadata,
  SpecificationVersion,
  StreamPart,
  ZSELanguageModel,
} from "./specification.js";

export interface ZSEModelSettings<Version extends SpecificationVersion = "v4"> {
  /** The version of the SDK's specification: "v4" is AI SDK 7's, "v3" AI SDK 6's. Default "v4". */
  specification?: Version | undefined;
  /** The `modelId`. Default: the name in the model's file, and "local" while it loads. */
  name?: string | undefined;
  /** Options of each reply; those of a call go before them. */
  options?: ReplyOptionsInput | undefined;
}

const SETTINGS: Record<keyof ZSEModelSettings, Rule> = {
  specification: { kind: "enum", values: ["v3", "v4"], default: "v4" },
  name: { kind: "custom", read: readName },
  options: { kind: "custom", read: (_name, value) => value, default: {} },
};

/**
 * A model of zStream as a language model of the AI SDK. All options of a reply can be given in `providerOptions.zstream`.
 *
 * ```js
 * const { textStream } = streamText({ model: zse(new ZSE("qwen-7b.gguf")), prompt: "Tell me a story" });
 * ```
 * @throws ZSEError BAD_OPTION
 */
export function zse<Version extends SpecificationVersion = "v4">(
  model: StreamingModel,
  settings: ZSEModelSettings<Version> = {},
): ZSELanguageModel<Version> {
  checkModel(model, "zse()");
  const { specification, name, options } = readOptions(SETTINGS, settings, "zse()") as unknown as Required<ZSEModelSettings<Version>>;
  return new LanguageModel(model, specification, name, options);
}

class LanguageModel<Version extends SpecificationVersion> implements ZSELanguageModel<Version> {
  readonly specificationVersion: Version;
  readonly provider = "zstream";
  readonly supportedUrls: Record<string, RegExp[]> = {};
  readonly #model: StreamingModel;
  readonly #name: string | undefined;
  readonly #defaults: ReplyOptionsInput;

  constructor(model: StreamingModel, version: Version, name: string | undefined, defaults: ReplyOptionsInput) {
    this.#model = model;
    this.specificationVersion = version;
    this.#name = name;
    this.#defaults = defaults;
  }

  get modelId(): string {
    return this.#name ?? this.#model.info?.name ?? "local";
  }

  async doStream(call: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }> {
    const { events, warnings } = this.#open(call);
    // What is refused before it began is told by the call, where the SDK tries again or gives up.
    const first = await events.next();
    const begun: StreamPart[] = [
      { type: "stream-start", warnings },
      { type: "response-metadata", ...this.#response() },
    ];
    return { stream: streamOf(begun, first, events, call) };
  }

  async doGenerate(call: CallOptions): Promise<GenerateResult> {
    const { events, warnings } = this.#open(call);
    const content = new Content();
    const writer = new PartWriter();
    for (let next = await events.next(); next.done !== true; next = await events.next()) {
      for (const part of writer.event(next.value)) content.add(part);
    }
    return { ...content.end(), response: this.#response(), warnings };
  }

  #response(): ResponseMetadata {
    return { id: `zse-${crypto.randomUUID()}`, timestamp: new Date(), modelId: this.modelId };
  }

  #open(call: CallOptions): { events: AsyncIterator<StreamEvent>; warnings: ReadCall["warnings"] } {
    const read = readCall(call, this.#defaults);
    const messages = messagesOf(call.prompt);
    const stream = this.#openStream(messages, read);
    return { events: eventsOf(stream), warnings: read.warnings };
  }

  /** The SDK checks an object itself. So a word of its schema that no grammar enforces is left to it, with a warning. */
  #openStream(messages: Message[], { options, warnings }: ReadCall): EventStream {
    try {
      return this.#model.chatStream({ messages, ...options });
    } catch (error) {
      const { responseFormat: format } = options;
      const isSchema = format !== undefined && "type" in format && format.type === "json_schema" && "schema" in format;
      if (!isSchema || !(error instanceof ZSEError) || !error.option?.startsWith("responseFormat")) throw error;
      const stream = this.#model.chatStream({ messages, ...options, responseFormat: { ...format, strict: false } });
      warnings.push({ type: "compatibility", feature: "responseFormat", details: error.message });
      return stream;
    }
  }
}

function streamOf(
  begun: StreamPart[],
  first: IteratorResult<StreamEvent>,
  events: AsyncIterator<StreamEvent>,
  { abortSignal, includeRawChunks }: CallOptions,
): ReadableStream<StreamPart> {
  const writer = new PartWriter();
  let next: IteratorResult<StreamEvent> | undefined = first;
  let left = false;
  return new ReadableStream<StreamPart>(
    {
      async pull(controller) {
        if (begun.length > 0) {
          for (const part of begun.splice(0)) controller.enqueue(part);
          return;
        }
        try {
          // Some events make no part, and a pull that brings nothing is not followed by another.
          for (let enqueued = false; !enqueued && !left; ) {
            const { done, value } = next ?? (await events.next());
            next = undefined;
            if (left) return;
            if (done === true) {
              controller.close();
              return;
            }
            const raw: StreamPart[] = includeRawChunks === true ? [{ type: "raw", rawValue: value }] : [];
            for (const part of [...raw, ...writer.event(value)]) {
              controller.enqueue(part);
              enqueued = true;
            }
          }
        } catch (error) {
          if (left) return;
          if (abortSignal?.aborted === true) controller.error(error);
          else {
            for (const part of writer.fail(error)) controller.enqueue(part);
            controller.close();
          }
        }
      },
      async cancel() {
        left = true;
        await events.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

/** The parts of a stream, put together. */
class Content {
  readonly #parts: ContentPart[] = [];
  readonly #logprobs: unknown[] = [];
  #finish: (StreamPart & { type: "finish" }) | undefined;

  add(part: StreamPart): void {
    if ("providerMetadata" in part && "delta" in part) this.#logprobs.push(...(part.providerMetadata!.zstream.logprobs as unknown[]));
    const last = this.#parts.at(-1);
    switch (part.type) {
      case "text-start":
      case "reasoning-start":
        this.#parts.push({ type: part.type === "text-start" ? "text" : "reasoning", text: "" });
        break;
      case "text-delta":
      case "reasoning-delta":
        if (last !== undefined && "text" in last) last.text += part.delta;
        break;
      case "tool-call":
        this.#parts.push(part);
        break;
      case "finish":
        this.#finish = part;
        break;
    }
  }

  end(): Pick<GenerateResult, "content" | "finishReason" | "usage" | "providerMetadata"> {
    const { usage, finishReason, providerMetadata } = this.#finish!;
    const logprobs = this.#logprobs.length === 0 ? {} : { logprobs: this.#logprobs };
    return { content: this.#parts, usage, finishReason, providerMetadata: { zstream: { ...providerMetadata?.zstream, ...logprobs } } };
  }
}
