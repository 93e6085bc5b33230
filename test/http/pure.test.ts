// The parts of the adapter that need neither sockets nor a model: events to chunks, the estimate of when to come back, and resumable
// streams under random drops.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ZSEError } from "../../lib/errors.js";
import { chatCompletions as chat } from "../../lib/http/formats/openai-chat/index.js";
import { toWireError } from "../../lib/http/formats/wire-error.js";
import type { FrameSource } from "../../lib/http/frame-source.js";
import { ReplyFrames } from "../../lib/http/frame-source.js";
import { toResponse } from "../../lib/http/index.js";
import { Pace } from "../../lib/http/pace.js";
import { Reply } from "../../lib/http/reply.js";
import { ResumableStreams } from "../../lib/http/resumable.js";
import { bodyCheck } from "../../lib/server/schema.js";
import type { FinishEvent, StreamEvent } from "../../lib/types.js";
import { parseStrictly } from "./strict-sse.js";

const finish = (more: Partial<FinishEvent> = {}): FinishEvent => ({
  type: "finish",
  reason: "stop",
  usage: { promptTokens: 10, completionTokens: 5, totalTokens: 15, cachedTokens: 0 },
  timings: { queueMs: 0, prefillMs: 1, ttftMs: 1, itlMs: { p50: 1, p99: 1, max: 1 }, tokensPerSecond: 1, pausedMs: 0 },
  seed: 1,
  ...more,
});
const text = (value: string): StreamEvent => ({ type: "text", text: value });

/** A stream that says these events. */
function streamOf(events: StreamEvent[]): { events(): AsyncIterator<StreamEvent> } {
  return {
    async *events() {
      yield* events;
    },
  };
}

describe("events become chunks", () => {
  const envelope = chat.envelope("m");

  test("tool calls and reasoning stream in OpenAI's delta shapes, and the finish_reason says tool_calls", () => {
    const writer = chat.writer(envelope, { choices: 1, includeUsage: undefined });
    const collector = chat.collect(envelope, { choices: 1, includeUsage: undefined });
    const events: StreamEvent[] = [
      { type: "reasoning", text: "Hm" },
      { type: "toolCall", index: 0, id: "call_1", name: "weather", argumentsDelta: "" },
      { type: "toolCall", index: 0, argumentsDelta: '{"city":' },
      { type: "toolCall", index: 0, argumentsDelta: '"Rome"}' },
      { ...finish(), reason: "toolCalls" },
    ];
    const deltas = events.flatMap((event) => {
      collector.event(0, event);
      return writer.event(0, event).map(({ data }) => (data as { choices: { delta: object; finish_reason: string }[] }).choices[0]!);
    });
    expect(deltas.map(({ delta }) => delta)).toEqual([
      { role: "assistant", content: "" },
      { reasoning_content: "Hm" },
      { tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "weather", arguments: "" } }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '"Rome"}' } }] },
      {},
    ]);
    expect(deltas.at(-1)!.finish_reason).toBe("tool_calls");
    expect(collector.object()).toMatchObject({
      choices: [
        {
          finish_reason: "tool_calls",
          message: {
            content: null,
            reasoning_content: "Hm",
            tool_calls: [{ id: "call_1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } }],
          },
        },
      ],
    });
  });

  test("progress and events of later versions make none", () => {
    const writer = chat.writer(envelope, { choices: 1, includeUsage: undefined });
    expect(writer.event(0, { type: "progress", processedTokens: 1, promptTokens: 2, cachedTokens: 0 })).toEqual([]);
    expect(writer.event(0, { type: "surprise" } as never)).toEqual([]);
  });

  test("cached prompt tokens are told with every usage, 0 where there are none", () => {
    const usage = { promptTokens: 10, completionTokens: 5, totalTokens: 15, cachedTokens: 8 };
    const [, chunk] = chat.writer(envelope, { choices: 1, includeUsage: undefined }).event(0, finish({ usage }));
    expect(chunk!.data).toMatchObject({ usage: { prompt_tokens: 10, total_tokens: 15, prompt_tokens_details: { cached_tokens: 8 } } });
    const [, plain] = chat.writer(envelope, { choices: 1, includeUsage: undefined }).event(0, finish());
    expect(plain!.data).toHaveProperty("usage.prompt_tokens_details", { cached_tokens: 0 });
  });

  test("whatever a reply says, its frames are lines that every parser reads", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.string({ unit: "binary", minLength: 1 }), fc.constantFrom("\u2028", "a\u0085b", "\n\n", "data: [DONE]"))),
        async (pieces) => {
          const said = pieces.map((piece) => piece.toWellFormed());
          const frames = new ReplyFrames(
            new Reply([streamOf([...said.map(text), finish()])]),
            chat.writer(chat.envelope("m\n\r"), { choices: 1, includeUsage: undefined }),
            "messages",
            {
              heartbeatMs: 1000,
            },
          );
          let all = "";
          for (let frame = await frames.next(); frame !== undefined; frame = await frames.next()) all += frame;
          expect(parseStrictly(all).texts[0]).toBe(said.join(""));
        },
      ),
      { numRuns: 50 },
    );
  });
});

test("errors that are nobody's own say nothing of the server's inside", () => {
  const { status, body } = toWireError(new Error("/etc/secret"));
  expect(status).toBe(503);
  expect(JSON.stringify(body)).not.toContain("secret");
});

test.each<[object, string]>([
  [{ temperature: 9 }, "temperature must be at most 5; given 9."],
  [{ max_tokens: 0.5 }, "max_tokens must be a whole number; given 0.5."],
  [{ top_p: "x" }, "top_p must be a number."],
  [{ stream: 1 }, "stream must be true or false; given 1."],
  [{ tools: {} }, "tools must be an array."],
  [{ tools: [{ type: "function", function: { name: 5 } }] }, "tools[0].function.name must be a string; given 5."],
  [{ messages: [] }, "messages must have at least 1 item."],
  [{ messages: [{ role: "boss" }] }, 'messages[0].role must be one of "system", "developer", "user", "assistant", "tool", "function".'],
  [{ logit_bias: [] }, "logit_bias must be an object."],
  [{ logit_bias: { 5: 101 } }, "logit_bias.5 must be at most 100; given 101."],
  [{ stream: true, stream_options: { chunky: 1 } }, "stream_options.chunky is not a field here."],
])("a body that zse serve refuses is told so in its own words: %j", (body, sentence) => {
  const check = bodyCheck({ maxMessages: 10, maxChoices: 8 });
  expect(() => check({ messages: [{ role: "user", content: "x" }], ...body }, chat)).toThrow(sentence);
});

test("an engine's sentence has the body's names of options, wherever they stand, and quotes what was given as it was", () => {
  const said = 'responseFormat and tools exclude each other; give responseFormat with toolChoice "none", not "toolChoice"';
  const { error } = toWireError(new ZSEError("UNSUPPORTED", said)).body;
  expect(error.message).toBe(
    'response_format and tools exclude each other; give response_format with tool_choice "none", not "toolChoice"',
  );
  expect(error.param).toBe("response_format");
});

describe("the estimate of when a full server has room", () => {
  test("follows the length of replies, the slots and the queue, within bounds", () => {
    const pace = new Pace();
    expect(pace.retryAfterMs(8, 16)).toBe(1000);
    for (let i = 0; i < 50; i++) pace.onReply(8000);
    expect(pace.retryAfterMs(8, 0)).toBe(1000);
    expect(pace.retryAfterMs(4, 0)).toBe(2000);
    expect(pace.retryAfterMs(8, 16)).toBe(9000);
    for (let i = 0; i < 50; i++) pace.onReply(1);
    expect(pace.retryAfterMs(8, 0)).toBe(200);
    for (let i = 0; i < 50; i++) pace.onReply(1e9);
    expect(pace.retryAfterMs(8, 16)).toBe(60_000);
  });
});

describe("heartbeats", () => {
  test("are not put off by events that the client does not see, such as a prompt's progress", async () => {
    async function* reading(): AsyncGenerator<StreamEvent> {
      for (let i = 0; ; i++) {
        await new Promise((resolve) => setTimeout(resolve, 4));
        yield { type: "progress", processedTokens: i, promptTokens: 1e6, cachedTokens: 0 };
      }
    }
    const frames = new ReplyFrames(
      new Reply([{ events: reading }]),
      chat.writer(chat.envelope("m"), { choices: 1, includeUsage: undefined }),
      "messages",
      {
        heartbeatMs: 20,
      },
    );
    expect(await frames.next()).toContain('"role":"assistant"');
    for (let i = 0; i < 3; i++)
      expect(await frames.next()).toContain('"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]');
    frames.cancel();
  });
});

describe("a wrapped stream", () => {
  test("may give its events as anything that is iterated", async () => {
    const looksAlike = {
      events: (): AsyncIterable<StreamEvent> => ({ [Symbol.asyncIterator]: () => streamOf([text("Hi"), finish()]).events() }),
    };
    const response = toResponse(looksAlike, { model: "m" });
    expect(parseStrictly(await response.text()).texts).toEqual(["Hi"]);
  });
});

describe("a resumable stream", () => {
  test("read with any number of drops at any place is byte for byte the undisturbed one", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ minLength: 1 }), { maxLength: 40 }),
        fc.array(fc.record({ frames: fc.nat(12), lost: fc.nat(3) }), { maxLength: 20 }),
        async (pieces, drops) => {
          const envelope = chat.envelope("m");
          const source = () =>
            new ReplyFrames(
              new Reply([streamOf([...pieces.map(text), finish()])]),
              chat.writer(envelope, { choices: 1, includeUsage: undefined }),
              "messages",
              {
                heartbeatMs: 0,
                numbered: true,
              },
            );
          let whole = "";
          const undisturbed = source();
          for (let frame = await undisturbed.next(); frame !== undefined; frame = await undisturbed.next()) whole += frame;

          const streams = new ResumableStreams({ maxEvents: 16 });
          streams.add("id", source());
          let taken: string[] = [];
          for (const { frames, lost } of drops) {
            const reader = streams.get("id").read(taken.length, 1000);
            const given: string[] = [];
            for (let i = 0; i < frames; i++) {
              const frame = await reader.next();
              if (frame === undefined) break;
              given.push(frame);
            }
            reader.cancel();
            // What was in the connection's buffers is lost with it.
            taken = [...taken, ...given.slice(0, Math.max(0, given.length - lost))];
          }
          taken.push(...(await rest(streams.get("id").read(taken.length, 1000))));
          expect(taken.join("")).toBe(whole);
          streams.get("id").remove();
        },
      ),
      { numRuns: 200 },
    );
  });
});

async function rest(source: FrameSource): Promise<string[]> {
  const frames: string[] = [];
  for (let frame = await source.next(); frame !== undefined; frame = await source.next()) frames.push(frame);
  return frames;
}
