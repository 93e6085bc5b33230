// Owns the spans of a stream: one for each reply of the model, one for each call of a tool, and around them one for the stream where tools are run.
// JS thread of the model. They begin in the context of whoever opened the stream.

import type { Context, Span, Tracer } from "@opentelemetry/api";
import type { NativeRequest } from "../addon/contract.js";
import type { Ending } from "../engine/engine.js";
import type { StreamWatch } from "../stream/watch.js";
import type { ToolCall, ToolResult } from "../types.js";
import { type Api, quietly, registered } from "./api.js";
import { askedName, askedNow } from "./asked.js";
import { commonAttributes, errorOf, errorType, finishAttributes, type Operation, requestAttributes } from "./attributes.js";
import { recordReply } from "./instruments.js";
import { type NamedModel, nameOf } from "./model-name.js";

export interface StreamFacts {
  operation: Operation;
  model: NamedModel;
  /** Options of the call that are defaults. */
  unsaid: readonly string[];
  /** Whether its reader has the reply as it comes. */
  streams: boolean;
  /** Whether calls of tools are run. */
  runsTools: boolean;
}

/** Follows a stream; undefined where nobody listens. */
export function watchStream(facts: StreamFacts): StreamWatch | undefined {
  const api = registered();
  return api === undefined ? undefined : new StreamTelemetry(api, facts);
}

class StreamTelemetry implements StreamWatch {
  readonly #api: Api;
  readonly #facts: StreamFacts;
  readonly #tracer: Tracer | undefined;
  /** The client's name of the model. */
  readonly #asked: string | undefined;
  readonly #streams: boolean;
  /** What spans of replies and calls are children of. */
  #context: Context;
  #stream: Span | undefined;
  #reply: { span: Span | undefined; began: number; name: string } | undefined;

  constructor(api: Api, facts: StreamFacts) {
    this.#api = api;
    this.#facts = facts;
    this.#asked = askedName();
    this.#streams = askedNow()?.stream ?? facts.streams;
    this.#context = api.context.active();
    this.#tracer = quietly(() => api.trace.getTracer("zstream"));
    if (!facts.runsTools) return;
    this.#stream = this.#begin("invoke_agent", commonAttributes("invoke_agent", this.#asked ?? this.#model));
    if (this.#stream !== undefined) this.#context = api.trace.setSpan(this.#context, this.#stream);
  }

  asks(request: NativeRequest): void {
    const { operation, unsaid } = this.#facts;
    const model = this.#asked ?? this.#model;
    const began = now();
    const attributes = quietly(() => ({ ...commonAttributes(operation, model), ...requestAttributes(request, unsaid, this.#streams) }));
    this.#reply = { span: this.#begin(`${operation} ${model}`, attributes ?? {}, began), began, name: model };
  }

  ended(ending: Ending | undefined): void {
    if (this.#reply === undefined) return;
    const { span, began, name } = this.#reply;
    this.#reply = undefined;
    const model = this.#model;
    const error = errorOf(ending);
    const finish = ending !== undefined && "finish" in ending ? ending.finish : undefined;
    quietly(() => {
      if (span?.isRecording() !== true) return;
      // It began while the model was loading, by the name of the file.
      if (this.#asked === undefined && name !== model)
        span.updateName(`${this.#facts.operation} ${model}`).setAttribute("gen_ai.request.model", model);
      if (finish === undefined && error === undefined) span.setAttribute("gen_ai.response.finish_reasons", ["cancelled"]);
      if (finish !== undefined) {
        span.setAttributes(finishAttributes(finish, model));
        const { queueMs, ttftMs } = finish.timings;
        if (ttftMs !== undefined)
          span.addEvent("zstream.prefill", undefined, began + queueMs).addEvent("zstream.first_token", undefined, began + ttftMs);
      }
      this.#fail(span, error);
    });
    quietly(() => span?.end(now()));
    const failure = error === undefined ? {} : { "error.type": errorType(error) };
    recordReply(this.#api, (now() - began) / 1000, finish, {
      ...commonAttributes(this.#facts.operation, model),
      "gen_ai.response.model": model,
      ...failure,
    });
  }

  async runs(call: ToolCall, run: () => Promise<ToolResult>): Promise<ToolResult> {
    const { name } = call.function;
    const span = this.#begin(`execute_tool ${name}`, {
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": name,
      "gen_ai.tool.type": "function",
      "gen_ai.tool.call.id": call.id,
    });
    if (span === undefined) return run();
    const { context, trace } = this.#api;
    try {
      const result = await context.with(trace.setSpan(this.#context, span), run);
      if (result.failure !== undefined) quietly(() => this.#fail(span, result.content, result.failure));
      return result;
    } catch (error) {
      quietly(() => this.#fail(span, error));
      throw error;
    } finally {
      quietly(() => span.end());
    }
  }

  over(error?: unknown): void {
    const span = this.#stream;
    this.#stream = undefined;
    quietly(() => {
      if (span === undefined) return;
      span.setAttribute("gen_ai.request.model", this.#asked ?? this.#model);
      this.#fail(span, error);
      span.end();
    });
  }

  get #model(): string {
    return nameOf(this.#facts.model);
  }

  #begin(name: string, attributes: object, startTime = now()): Span | undefined {
    const { SpanKind } = this.#api;
    return quietly(() =>
      this.#tracer?.startSpan(name, { kind: SpanKind.INTERNAL, startTime, attributes: attributes as never }, this.#context),
    );
  }

  /** The message of a tool's failure may say what it was given, and is not told. */
  #fail(span: Span, error: unknown, type = errorType(error)): void {
    if (error === undefined) return;
    span.setAttribute("error.type", type);
    span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message: type });
  }
}

/** Milliseconds since 1970, with their parts. */
function now(): number {
  return performance.timeOrigin + performance.now();
}
