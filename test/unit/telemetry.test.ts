// What OpenTelemetry is told of streams, read from its own SDK's in-memory exporters. On the fake engine.

import { context, metrics, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import * as conventions from "@opentelemetry/semantic-conventions/incubating";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tool } from "../../lib/index.js";
import { registered } from "../../lib/telemetry/api.js";
import { callOf, type ScriptItem } from "./fake-native.js";
import { endless, openFake, openReady, readAll, rejection, settle, USER } from "./helpers.js";

const spans = new InMemorySpanExporter();
let points: InMemoryMetricExporter;
let meters: MeterProvider;

function register(): void {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  points = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  meters = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter: points, exportIntervalMillis: 1e9 })] });
  metrics.setGlobalMeterProvider(meters);
}
beforeEach(register);
afterEach(async () => {
  for (const one of [trace, context, metrics, propagation]) one.disable();
  spans.reset();
  await meters.shutdown();
});

const script = (...items: ScriptItem[]) => ({ script: () => items });
const timings = { queueMs: 10, prefillMs: 20, ttftMs: 30, itlMs: { p50: 5, p99: 5, max: 5 }, tokensPerSecond: 50, pausedMs: 4 };
const usage = { promptTokens: 7, completionTokens: 9, totalTokens: 16, cachedTokens: 3, reasoningTokens: 2 };

function spanOf(name: string): ReadableSpan {
  const found = spans.getFinishedSpans().filter((span) => span.name === name);
  if (found.length !== 1) throw new Error(`${found.length} spans ${name} of ${spans.getFinishedSpans().map((span) => span.name)}`);
  return found[0]!;
}
const parentOf = (span: ReadableSpan) => span.parentSpanContext?.spanId;

/** Histograms by their names: the sum and the count of each point, with its attributes. */
async function histograms(): Promise<Record<string, { sum: number; count: number; attributes: object }[]>> {
  await meters.forceFlush();
  const all = points
    .getMetrics()
    .at(-1)!
    .scopeMetrics.flatMap(({ metrics }) => metrics);
  const told = all.map(({ descriptor, dataPoints }) => [
    descriptor.name,
    dataPoints.map(({ value, attributes }) => ({ ...(value as { sum: number; count: number }), attributes })),
  ]);
  return Object.fromEntries(told) as never;
}

describe("a reply is a span", () => {
  test("with GenAI's attributes, and what it took", async () => {
    const { model } = await openReady({ finish: { usage, timings } });
    await readAll(model.chatStream(USER, { temperature: 0.5, maxTokens: 40, stop: "END", seed: 1, presencePenalty: 0.5 }));
    const span = spanOf("chat fake");
    expect(span.kind).toBe(SpanKind.INTERNAL);
    expect(span.attributes).toEqual({
      [conventions.ATTR_GEN_AI_OPERATION_NAME]: "chat",
      [conventions.ATTR_GEN_AI_PROVIDER_NAME]: "zstream",
      [conventions.ATTR_GEN_AI_REQUEST_MODEL]: "fake",
      [conventions.ATTR_GEN_AI_REQUEST_STREAM]: true,
      [conventions.ATTR_GEN_AI_OUTPUT_TYPE]: "text",
      [conventions.ATTR_GEN_AI_REQUEST_TEMPERATURE]: 0.5,
      [conventions.ATTR_GEN_AI_REQUEST_MAX_TOKENS]: 40,
      [conventions.ATTR_GEN_AI_REQUEST_STOP_SEQUENCES]: ["END"],
      [conventions.ATTR_GEN_AI_REQUEST_SEED]: 1,
      [conventions.ATTR_GEN_AI_REQUEST_PRESENCE_PENALTY]: 0.5,
      [conventions.ATTR_GEN_AI_RESPONSE_MODEL]: "fake",
      [conventions.ATTR_GEN_AI_RESPONSE_FINISH_REASONS]: ["stop"],
      [conventions.ATTR_GEN_AI_USAGE_INPUT_TOKENS]: 7,
      [conventions.ATTR_GEN_AI_USAGE_OUTPUT_TOKENS]: 9,
      [conventions.ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS]: 3,
      [conventions.ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS]: 2,
      [conventions.ATTR_GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK]: 0.03,
      "zstream.time_per_output_token": 0.02,
      "zstream.queue.duration": 0.01,
      "zstream.prefill.duration": 0.02,
      "zstream.parked.duration": 0.004,
    });
    expect(span.status.code).toBe(SpanStatusCode.UNSET);
    const at = span.events.map(({ name, time }) => [name, (time[0] - span.startTime[0]) * 1e3 + (time[1] - span.startTime[1]) / 1e6]);
    expect(at).toEqual([
      ["zstream.prefill", expect.closeTo(10, 2)],
      ["zstream.first_token", expect.closeTo(30, 2)],
    ]);
  });
  test("of a completion, of JSON, collected or called back", async () => {
    const { model } = await openReady(script("{}"));
    await model.completion("Once", { responseFormat: { type: "json_object" } });
    expect(spanOf("text_completion fake").attributes).toMatchObject({
      "gen_ai.operation.name": "text_completion",
      "gen_ai.output.type": "json",
    });
    expect(spanOf("text_completion fake").attributes).not.toHaveProperty("gen_ai.request.stream");
    await model.chat({ messages: USER, streamCallback: () => {} });
    expect(spanOf("chat fake").attributes).not.toHaveProperty("gen_ai.request.temperature"); // a default is not what was asked
  });
  test("has the model's name, also where it began before that was known", async () => {
    const { model, fake } = openFake({ load: "manual" });
    const reading = readAll(model.chatStream(USER));
    await settle();
    fake.becomeReady();
    await reading;
    expect(spanOf("chat fake").attributes).toMatchObject({ "gen_ai.request.model": "fake", "gen_ai.response.model": "fake" });
  });
  test("is a child of whoever asked", async () => {
    const { model } = await openReady();
    await trace.getTracer("test").startActiveSpan("mine", async (mine) => {
      await readAll(model.chatStream(USER));
      mine.end();
    });
    expect(parentOf(spanOf("chat fake"))).toBe(spanOf("mine").spanContext().spanId);
  });
  test("never has what was said", async () => {
    const secret = "a secret";
    const { model } = await openReady(script({ reasoning: secret }, secret, ...callOf("f", { secret }, 0, "a")));
    const f = tool({
      name: "f",
      execute: () => {
        throw new Error(secret);
      },
    });
    await model.chat({ messages: [{ role: "user", content: secret }], tools: [f], maxSteps: 2, toolErrors: "throw" }).catch(() => {});
    const told = spans.getFinishedSpans().map(({ name, attributes, events, status }) => ({ name, attributes, events, status }));
    expect(told.length).toBe(3);
    expect(JSON.stringify(told)).not.toContain(secret);
  });
});

describe("a reply that does not come to its end", () => {
  test("and fails is an error of its code", async () => {
    const { model } = await openReady(script("Once", { error: { code: "ENGINE_FAILED", message: "out of luck" } }));
    await rejection(readAll(model.chatStream(USER)));
    const { attributes, status } = spanOf("chat fake");
    expect([attributes["error.type"], status.code]).toEqual(["ENGINE_FAILED", SpanStatusCode.ERROR]);
    expect((await histograms())["gen_ai.client.operation.duration"]).toMatchObject([
      { count: 1, attributes: { "error.type": "ENGINE_FAILED" } },
    ]);
  });
  test("and is refused is one, too", async () => {
    const { model } = await openReady({ script: endless }, { maxStreams: 1, maxQueue: 0 });
    const first = model.chatStream(USER);
    await rejection(model.chat(USER));
    expect(spanOf("chat fake").attributes["error.type"]).toBe("OVERLOADED");
    first.abort();
    await settle();
  });
  test.each(["left", "aborted"])("but is %s is cancelled, and no error", async (how) => {
    const { model } = await openReady({ script: endless });
    const stream = model.chatStream(USER);
    await rejection(
      (async () => {
        for await (const _ of stream) {
          if (how === "aborted") stream.abort();
          else break;
        }
        throw new Error("left");
      })(),
    );
    await settle();
    const { attributes, status } = spanOf("chat fake");
    expect(attributes["gen_ai.response.finish_reasons"]).toEqual(["cancelled"]);
    expect([attributes["error.type"], status.code]).toEqual([undefined, SpanStatusCode.UNSET]);
  });
  test("since it never began ends, too", async () => {
    const { model, fake } = openFake({ load: "manual" });
    model.chatStream(USER).abort();
    expect(spanOf("chat fake.gguf").attributes["gen_ai.response.finish_reasons"]).toEqual(["cancelled"]);
    fake.becomeReady();
    await model.close();
  });
});

describe("tools that are run", () => {
  const replies = (...all: ScriptItem[][]) => ({ script: (_: unknown, i: number) => all[i] ?? [] });
  test("have a span each, beside those of the replies, in one of the stream", async () => {
    const { model } = await openReady(replies(callOf("get_weather", { city: "Rome" }, 0, "call_1"), ["It is clear"]));
    let inside: string | undefined;
    const weather = tool({
      name: "get_weather",
      parameters: { type: "object", properties: { city: { type: "string" } } },
      execute: async () => {
        await settle(1);
        inside = trace.getActiveSpan()?.spanContext().spanId;
        return "clear";
      },
    });
    await model.chat({ messages: USER, tools: [weather] });
    const agent = spanOf("invoke_agent").spanContext().spanId;
    const call = spanOf("execute_tool get_weather");
    expect(call.attributes).toEqual({
      [conventions.ATTR_GEN_AI_OPERATION_NAME]: "execute_tool",
      [conventions.ATTR_GEN_AI_TOOL_NAME]: "get_weather",
      [conventions.ATTR_GEN_AI_TOOL_TYPE]: "function",
      [conventions.ATTR_GEN_AI_TOOL_CALL_ID]: "call_1",
    });
    expect(inside).toBe(call.spanContext().spanId);
    const chats = spans.getFinishedSpans().filter(({ name }) => name === "chat fake");
    expect(chats.map(({ attributes }) => attributes["gen_ai.response.finish_reasons"])).toEqual([["tool_calls"], ["stop"]]);
    expect([call, ...chats].map(parentOf)).toEqual([agent, agent, agent]);
  });
  test("fail by a type", async () => {
    const { model } = await openReady(replies(callOf("f", {}, 0, "a"), ["Well"]));
    const f = tool({
      name: "f",
      execute: () => {
        throw new RangeError("mine");
      },
    });
    await model.chat({ messages: USER, tools: [f] });
    expect(spanOf("execute_tool f").attributes["error.type"]).toBe("execute");
    spans.reset();
    const other = await openReady(replies(callOf("f", {}, 0, "a"), ["Well"]));
    await rejection(other.model.chat({ messages: USER, tools: [f], toolErrors: "throw" }));
    expect(spanOf("execute_tool f").attributes["error.type"]).toBe("RangeError");
    expect(spanOf("invoke_agent").status.code).toBe(SpanStatusCode.ERROR);
  });
  test("and are left running end with their stream", async () => {
    const { model } = await openReady(replies(callOf("f", {}, 0, "a")));
    const f = tool({
      name: "f",
      execute: (_args, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    });
    const stream = model.chatStream(USER, { tools: [f] });
    const reading = rejection(readAll(stream));
    await settle();
    stream.abort();
    await reading;
    await settle();
    expect(spans.getFinishedSpans().map(({ name }) => name)).toEqual(["chat fake", "invoke_agent", "execute_tool f"]);
  });
});

describe("metrics", () => {
  test("are GenAI's histograms, in seconds and tokens", async () => {
    const { model } = await openReady({ finish: { usage, timings } });
    await readAll(model.chatStream(USER));
    await model.chat(USER);
    const told = await histograms();
    const attributes = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "zstream",
      "gen_ai.request.model": "fake",
      "gen_ai.response.model": "fake",
    };
    expect(Object.keys(told).sort()).toEqual(
      [
        conventions.METRIC_GEN_AI_CLIENT_OPERATION_DURATION,
        conventions.METRIC_GEN_AI_CLIENT_TOKEN_USAGE,
        conventions.METRIC_GEN_AI_SERVER_REQUEST_DURATION,
        conventions.METRIC_GEN_AI_SERVER_TIME_PER_OUTPUT_TOKEN,
        conventions.METRIC_GEN_AI_SERVER_TIME_TO_FIRST_TOKEN,
      ].sort(),
    );
    expect(told["gen_ai.client.operation.duration"]).toMatchObject([{ count: 2, attributes }]);
    expect(told["gen_ai.server.request.duration"]).toMatchObject([{ count: 2, attributes }]);
    expect(told["gen_ai.server.time_to_first_token"]).toMatchObject([{ sum: expect.closeTo(0.06), count: 2 }]);
    expect(told["gen_ai.server.time_per_output_token"]).toMatchObject([{ sum: expect.closeTo(0.04), count: 2 }]);
    expect(told["gen_ai.client.token.usage"]).toMatchObject([
      { sum: 14, count: 2, attributes: { ...attributes, "gen_ai.token.type": "input" } },
      { sum: 18, count: 2, attributes: { ...attributes, "gen_ai.token.type": "output" } },
    ]);
  });
});

describe("whoever listens", () => {
  test("and throws ends no stream", async () => {
    trace.disable();
    const fails = () => {
      throw new Error("a broken SDK");
    };
    trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan: fails, startActiveSpan: fails }) as never });
    const f = tool({ name: "f", execute: () => "done" });
    const { model } = await openReady({ script: (_, i) => (i === 0 ? callOf("f", {}, 0, "a") : ["Well"]) });
    expect((await model.chat({ messages: USER, tools: [f] })).text).toBe("Well");
  });
  test("may have metrics alone, or spans alone", async () => {
    trace.disable();
    const { model } = await openReady();
    await model.chat(USER);
    expect((await histograms())["gen_ai.client.operation.duration"]).toMatchObject([{ count: 1 }]);
    expect(spans.getFinishedSpans()).toHaveLength(0);
    metrics.disable();
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }));
    await model.chat(USER);
    expect(spans.getFinishedSpans()).toHaveLength(1);
  });
  test("is nobody: nothing is told", async () => {
    for (const one of [trace, metrics]) one.disable();
    expect(registered()).toBeUndefined();
    const { model } = await openReady();
    await model.chat(USER);
    register();
    expect(registered()).toBeDefined();
    expect(spans.getFinishedSpans()).toHaveLength(0);
  });
});

describe("embed() and rerank() are spans", () => {
  test("with their tokens, and points of the metrics", async () => {
    const { model } = await openReady();
    const { usage } = await model.embed(["one", "three"]);
    expect(spanOf("embeddings fake").attributes).toMatchObject({
      "gen_ai.operation.name": "embeddings",
      "gen_ai.request.model": "fake",
      "gen_ai.usage.input_tokens": usage.promptTokens,
    });
    const told = await histograms();
    expect(told["gen_ai.client.operation.duration"]).toMatchObject([
      { count: 1, attributes: { "gen_ai.operation.name": "embeddings", "gen_ai.response.model": "fake" } },
    ]);
    expect(told["gen_ai.client.token.usage"]).toMatchObject([{ sum: usage.promptTokens, attributes: { "gen_ai.token.type": "input" } }]);
  });
  test("a call that fails says how", async () => {
    const { model } = await openReady();
    await rejection(model.rerank("q", 5 as never));
    const { attributes, status } = spanOf("rerank fake");
    expect([attributes["error.type"], status]).toEqual(["BAD_OPTION", { code: SpanStatusCode.ERROR, message: "BAD_OPTION" }]);
  });
  test.each([undefined, "gone", new Error("late")])("one that is aborted (%j) is cancelled, and no error", async (reason) => {
    const { model } = await openReady();
    const left = new AbortController();
    const calls = [model.embed("one", { signal: left.signal }), model.rerank("q", ["a"], { signal: left.signal })];
    left.abort(reason);
    for (const call of calls) expect(await rejection(call)).toBe(left.signal.reason);
    for (const name of ["embeddings fake", "rerank fake"]) {
      const { attributes, status } = spanOf(name);
      expect(attributes["error.type"]).toBeUndefined();
      expect(attributes["gen_ai.response.finish_reasons"]).toEqual(["cancelled"]);
      expect(status.code).toBe(SpanStatusCode.UNSET);
    }
    for (const { attributes } of (await histograms())["gen_ai.client.operation.duration"]!)
      expect(attributes).not.toHaveProperty("error.type");
  });
  test("nobody listens, and they answer", async () => {
    for (const one of [trace, context, metrics]) one.disable();
    const { model } = await openReady();
    expect((await model.embed("one")).embeddings).toHaveLength(1);
    expect(spans.getFinishedSpans()).toEqual([]);
  });
});
