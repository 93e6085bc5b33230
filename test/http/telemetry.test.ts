// A client's trace goes on in the spans of its reply, through each of the three doors; and what they tell of the demo model's times.

import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { createHandler } from "../../lib/http/index.js";
import { writeEncoder } from "../embedding-models.js";
import { GREEDY, LONG, listen, open, post, serveApp, serveModel, until } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zse-telemetry-http-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const spans = new InMemorySpanExporter();
beforeEach(() => {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
});
afterEach(() => {
  for (const one of [trace, context, propagation]) one.disable();
  spans.reset();
});

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const headers = { "content-type": "application/json", traceparent: `00-${TRACE}-${PARENT}-01` };

type Asking = object & { model?: string };

async function theSpan(): Promise<ReadableSpan> {
  await until(() => spans.getFinishedSpans().length > 0, "the span has ended");
  return spans.getFinishedSpans()[0]!;
}

describe.each([
  ["zse serve", async () => (await serveApp()).url],
  ["nodeHandler", async () => (await serveModel()).url],
  [
    "createHandler",
    async () => listen(createAdaptorServer({ fetch: createHandler(await open()), overrideGlobalObjects: false }) as Server),
  ],
])("%s", (_, serve) => {
  test.each([true, false])("goes on with the client's trace (stream: %s)", async (stream) => {
    await (await post(await serve(), { ...GREEDY, stream }, { headers })).text();
    const span = await theSpan();
    expect([span.spanContext().traceId, span.parentSpanContext?.spanId]).toEqual([TRACE, PARENT]);
    const { attributes } = span;
    for (const name of ["gen_ai.response.time_to_first_chunk", "zstream.prefill.duration", "zstream.time_per_output_token"]) {
      expect(attributes[name], name).toBeGreaterThan(0);
    }
    expect(attributes["gen_ai.usage.output_tokens"]).toBeGreaterThan(10);
    expect(attributes["gen_ai.request.max_tokens"]).toBe(40);
    // As the client has asked, whatever the call of the library is.
    expect(attributes["gen_ai.request.stream"]).toBe(stream ? true : undefined);
    const { model } = GREEDY as { model?: string };
    expect(attributes["gen_ai.request.model"]).toBe(model ?? attributes["gen_ai.response.model"]);
  });
});

test.each([
  ["/v1/embeddings", "embeddings", { model: "mine", input: "Hello" }],
  ["/api/embed", "embeddings", { model: "mine", input: "Hello" }],
  ["/api/embeddings", "embeddings", { model: "mine", prompt: "Hello" }],
  ["/v1/rerank", "rerank", { model: "mine", query: "Hello", documents: ["a", "b"] }],
  ["/v1/embeddings", "embeddings", { model: undefined, input: "Hello" }],
])("%s goes on with the client's trace, and has its model's name: %s %j", async (path, operation, body: Asking) => {
  const pooling = operation === "rerank" ? "rank" : "mean";
  const { base } = await serveApp({}, { aliases: ["mine"] }, {}, writeEncoder(join(folder, `${pooling}.gguf`), pooling, 7));
  expect((await post(`${base}${path}`, body, { headers })).status).toBe(200);
  const span = await theSpan();
  expect([span.spanContext().traceId, span.parentSpanContext?.spanId]).toEqual([TRACE, PARENT]);
  const asked = body.model ?? span.attributes["gen_ai.response.model"];
  expect([span.name, span.attributes["gen_ai.request.model"]]).toEqual([`${operation} ${asked}`, asked]);
});

test("a trace that is none begins a new one", async () => {
  const { url } = await serveApp();
  await (await post(url, GREEDY, { headers: { ...headers, traceparent: "00-nonsense" } })).text();
  const span = await theSpan();
  expect(span.parentSpanContext).toBeUndefined();
});

test("a client that leaves ends its span", async () => {
  const { url } = await serveApp({ contextSize: 4096 });
  const abort = new AbortController();
  const response = await post(url, { ...LONG, stream: true }, { headers, signal: abort.signal });
  await response.body!.getReader().read();
  abort.abort();
  expect((await theSpan()).attributes["gen_ai.response.finish_reasons"]).toEqual(["cancelled"]);
});

test("a span that is there already is the parent: an instrumentation has read the headers", async () => {
  const handler = createHandler(await open());
  const tracer = trace.getTracer("http");
  const url = await listen(
    createAdaptorServer({
      fetch: (request: Request) =>
        tracer.startActiveSpan("POST", async (span) => {
          const response = await handler(request);
          span.end();
          return response;
        }),
      overrideGlobalObjects: false,
    }) as Server,
  );
  await (await post(url, GREEDY, { headers })).text();
  const [chat, http] = ["chat", "POST"].map((name) => spans.getFinishedSpans().find((span) => span.name.startsWith(name))!);
  expect(chat!.parentSpanContext?.spanId).toBe(http!.spanContext().spanId);
});
