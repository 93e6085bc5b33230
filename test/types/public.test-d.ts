// The public types, as promises. Checked by `npm run typecheck` (tsc): a line that stops being true, or an expected error that
// goes away, fails it. Never run.

import { createServer } from "node:http";
import { createSecureServer } from "node:http2";
import { type } from "arktype";
import express from "express";
import { fastify } from "fastify";
import * as v from "valibot";
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { createHandler, nodeHandler, toResponse } from "../../lib/http/index.js";
import {
  type ChatRequest,
  type CompletionRequest,
  ModelPool,
  type PulledModel,
  pull,
  type Reply,
  type StreamEvent,
  type TokenStream,
  tool,
  type Usage,
  ZSE,
  type ZSEError,
  type ZSEErrorCode,
} from "../../lib/index.js";

const model = new ZSE("model.gguf");
const user = [{ role: "user", content: "Hello" }] as const;

// Both call forms, both spellings.
expectTypeOf(model.chatStream(user)).toEqualTypeOf<TokenStream>();
expectTypeOf(model.chatStream(user, { maxTokens: 5, chunkBy: "word" })).toEqualTypeOf<TokenStream>();
expectTypeOf(model.chatStream({ messages: user, max_tokens: 5, top_p: 0.5, chunk_by: "word" })).toEqualTypeOf<TokenStream>();
expectTypeOf(model.chat({ messages: user, stream_callback: (text) => expectTypeOf(text).toBeString() })).toEqualTypeOf<Promise<Reply>>();
expectTypeOf(model.completionStream("Once")).toEqualTypeOf<TokenStream>();
expectTypeOf(model.completionStream({ prompt: "Once", seed: 1 })).toEqualTypeOf<TokenStream>();
expectTypeOf(model.completion("Once", { signal: new AbortController().signal })).toEqualTypeOf<Promise<Reply>>();

// What does not exist, or not with that type.
// @ts-expect-error unknown option
model.chatStream(user, { temprature: 1 });
// @ts-expect-error wrong type
model.chatStream(user, { temperature: "hot" });
// @ts-expect-error not one of the values
model.chatStream(user, { chunkBy: "line" });
// @ts-expect-error unknown role
model.chatStream([{ role: "robot", content: "x" }]);
// @ts-expect-error a user's message needs content
model.chatStream([{ role: "user", content: null }]);
// @ts-expect-error options belong in the object of the keyword form
model.chatStream({ messages: user }, { maxTokens: 5 });
// @ts-expect-error engine options are not reply options
new ZSE("model.gguf", { temperature: 1 });
// @ts-expect-error the alias has the option's type
new ZSE("model.gguf", { max_streams: "4" });

// Several models.
const pool = new ModelPool({ models: { a: "a.gguf", b: { path: new URL("file:///b.gguf"), maxStreams: 2, aliases: ["c"] } }, maxOpen: 1 });
expectTypeOf(pool.model("a")).toEqualTypeOf<ZSE>();
expectTypeOf(pool.use("a", async (model) => (await model.chat(user)).text)).toEqualTypeOf<Promise<string>>();
expectTypeOf(createHandler(pool)).toEqualTypeOf<(request: Request) => Promise<Response>>();
createServer(nodeHandler(pool));
// @ts-expect-error a reply's option is none of a model
new ModelPool({ models: { a: { path: "a.gguf", temperature: 1 } } });

// Opening.
new ZSE();
new ZSE({ maxStreams: 2 });
new ZSE(new URL("file:///model.gguf"), { gpu_layers: "auto", onProgress: (fraction) => expectTypeOf(fraction).toBeNumber() });

new ZSE("hf:org/repo:Q4_K_M", {
  onProgress: (_, event) => {
    if (event.type === "download") expectTypeOf(event.receivedBytes).toBeNumber();
    if (event.type === "load") expectTypeOf(event).toEqualTypeOf<{ type: "load"; fraction: number }>();
  },
});
expectTypeOf(pull("hf:org/repo", { signal: AbortSignal.timeout(1), onProgress: (_, { type }) => type, update: true })).toEqualTypeOf<
  Promise<PulledModel>
>();

// Reading.
const stream = model.chatStream(user);
expectTypeOf(stream).toExtend<AsyncIterable<string>>();
expectTypeOf(stream).toExtend<AsyncDisposable>();
expectTypeOf(model).toExtend<AsyncDisposable>();
expectTypeOf(stream.toReadableStream()).toEqualTypeOf<ReadableStream<string>>();
expectTypeOf(stream.result).toEqualTypeOf<Promise<Reply>>();
for await (const text of stream) expectTypeOf(text).toBeString();
for await (const event of stream.events()) {
  expectTypeOf(event).toEqualTypeOf<StreamEvent>();
  switch (event.type) {
    case "progress":
      expectTypeOf(event.promptTokens).toBeNumber();
      break;
    case "prompt":
      expectTypeOf(event.tokens[0]!.logprob).toEqualTypeOf<number | null>();
      break;
    case "text":
    case "reasoning":
      expectTypeOf(event.text).toBeString();
      break;
    case "toolCall":
      expectTypeOf(event.argumentsDelta).toBeString();
      break;
    case "malformedCall":
      expectTypeOf(event.text).toBeString();
      expectTypeOf(event.reason).toBeString();
      break;
    case "object":
      expectTypeOf(event.partial).toBeUnknown();
      break;
    case "step":
      expectTypeOf(event.step.toolResults[0]!.content).toBeString();
      break;
    case "finish":
      expectTypeOf(event.usage).toEqualTypeOf<Usage>();
      expectTypeOf(event.reason).toEqualTypeOf<"stop" | "length" | "toolCalls" | "cancelled">();
      break;
    default:
      expectTypeOf(event).toBeNever();
  }
}

// A tool knows its arguments by its schema; what is JSON Schema is anything.
const parameters = z.object({ city: z.string(), days: z.int().optional() });
const weather = tool({
  name: "weather",
  parameters,
  execute: (args) => expectTypeOf(args).toEqualTypeOf<{ city: string; days?: number | undefined }>(),
});
tool({ name: "weather", parameters: { type: "object" }, execute: ({ city }) => expectTypeOf(city).toBeAny() });
tool({ name: "now", execute: (_, { signal }) => expectTypeOf(signal).toEqualTypeOf<AbortSignal>() });
void model.chat({
  messages: [],
  tools: [weather, { type: "function", function: { name: "f", parameters: z.toJSONSchema(parameters) } }],
  toolChoice: { name: "f" },
});
void model.chat([], { responseFormat: parameters, reasoning: { effort: "low", budgetTokens: 5 } });
void model.chat([], { response_format: { type: "json_schema", schema: { type: "object" } }, max_steps: 3 });
// @ts-expect-error there is no such effort
void model.chat([], { reasoning: { effort: "much" } });

// An object has the type of the schema that it is held to, whatever the form and the spelling; of JSON Schema nothing is known.
const Trip = z.object({ city: z.string(), by: z.enum(["train", "bike"]), stops: z.array(z.object({ day: z.int() })) });
type Trip = z.infer<typeof Trip>;
expectTypeOf((await model.chat(user, { responseFormat: Trip })).object).toEqualTypeOf<Trip | undefined>();
expectTypeOf((await model.chat({ messages: user, responseFormat: Trip, maxTokens: 5 })).object).toEqualTypeOf<Trip | undefined>();
expectTypeOf((await model.chat(user, { responseFormat: { type: "json_schema", schema: Trip } })).object).toEqualTypeOf<Trip | undefined>();
expectTypeOf((await model.chat(user, { responseFormat: { type: "json_object", schema: Trip } })).object).toEqualTypeOf<Trip | undefined>();
expectTypeOf((await model.chat(user, { response_format: Trip })).object).toEqualTypeOf<Trip | undefined>();
expectTypeOf((await model.completion("x", { responseFormat: Trip })).object).toEqualTypeOf<Trip | undefined>();
expectTypeOf((await model.chatStream(user, { responseFormat: Trip }).result).object).toEqualTypeOf<Trip | undefined>();
expectTypeOf((await model.completionStream({ prompt: "x", responseFormat: Trip }).result).object).toEqualTypeOf<Trip | undefined>();
for await (const event of model.chatStream(user, { responseFormat: Trip }).events()) {
  if (event.type !== "object") continue;
  expectTypeOf(event.partial).toEqualTypeOf<{ city?: string; by?: string; stops?: { day?: number }[] }>();
}
const valibotTrip = v.object({ city: v.string(), days: v.optional(v.number()) });
expectTypeOf((await model.chat(user, { responseFormat: valibotTrip })).object).toEqualTypeOf<{ city: string; days?: number } | undefined>();
const arkTrip = type({ city: "string" });
expectTypeOf((await model.chat(user, { responseFormat: arkTrip })).object).toEqualTypeOf<{ city: string } | undefined>();
// What a schema makes of it, and what it takes, may be two things.
const Counted = z.object({ n: z.string().transform(Number) });
expectTypeOf((await model.chat(user, { responseFormat: Counted })).object).toEqualTypeOf<{ n: number } | undefined>();
for await (const event of model.chatStream({ messages: user, responseFormat: Counted }).events()) {
  if (event.type === "object") expectTypeOf(event.partial).toEqualTypeOf<{ n?: string }>();
}
const jsonSchema = { type: "object", properties: { a: { type: "string" } } } as const;
expectTypeOf((await model.chat(user, { responseFormat: { type: "json_schema", schema: jsonSchema } })).object).toBeUnknown();
expectTypeOf((await model.chat(user, { responseFormat: { type: "json_object" } })).object).toBeUnknown();
expectTypeOf((await model.chat(user)).object).toBeUnknown();
expectTypeOf(model.chatStream(user, { responseFormat: Trip })).toExtend<TokenStream>();
// @ts-expect-error options are checked beside a format as well
void model.chat(user, { responseFormat: Trip, temprature: 1 });
// @ts-expect-error there is no such form
void model.chat(user, { responseFormat: { type: "xml" } });

// The adapter takes a stream, a stream that looks like one, and models made of either.
toResponse(stream);
toResponse({ events: () => stream.events() });
toResponse({ events: (): AsyncIterable<StreamEvent> => stream.events(), includeUsage: true });
async function* made(): AsyncGenerator<StreamEvent> {
  yield { type: "text", text: "Hi" };
}
toResponse({ events: made });
class Wrapped {
  readonly info = { name: "wrapped" };
  chatStream(request: ChatRequest) {
    const inner = model.chatStream(request);
    return { events: () => inner.events(), result: inner.result, abort: () => inner.abort() };
  }
  completionStream(request: CompletionRequest): TokenStream {
    return model.completionStream(request);
  }
}
createHandler(new Wrapped());
createServer(nodeHandler(model));
createSecureServer({}, nodeHandler(model));
express().post("/", nodeHandler(model));
fastify().post("/", nodeHandler(model));
// @ts-expect-error text alone does not say how it ended
toResponse(stream.toReadableStream());

// Errors.
expectTypeOf<ZSEError>().toExtend<Error>();
expectTypeOf<ZSEError["code"]>().toEqualTypeOf<ZSEErrorCode>();

// @ts-expect-error streams come from a model
new TokenStream();
