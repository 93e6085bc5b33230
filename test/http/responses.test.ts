// OpenAI's Responses on the wire: the whole sequence of events, the same in one piece, what a body's fields come to, what is kept. Replies come
// from a script, so that every shape does, then from the demo model.

import { describe, expect, test } from "vitest";
import { callOf } from "../unit/fake-native.js";
import { post } from "./helpers.js";
import { events, output, responses, shapeOf, terminal } from "./responses-sse.js";
import { serveScript } from "./scripted.js";

const ASKED = { model: "qwen-7b", input: "What is the weather in Paris?" } as const;
const WEATHER = {
  type: "function",
  name: "get_weather",
  description: "The weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
} as const;

describe("a stream of a response", () => {
  test("has the whole sequence: a thought, a text, calls, and the response that they come to", async () => {
    const { base } = await serveScript([
      { reasoning: "hm" },
      "It",
      " is",
      ...callOf("get_weather", { city: "Paris" }, 0, "c1"),
      ...callOf("get_weather", { city: "Rome" }, 1, "c2"),
    ]);
    const said = await events(base, { ...ASKED, tools: [WEATHER] });
    expect(said.map(({ type }) => shapeOf(type))).toEqual([
      ...["created", "in_progress"],
      ...[
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
      ],
      ...["output_item.added", "content_part.added", "output_text.delta", "output_text.delta"],
      ...["output_text.done", "content_part.done", "output_item.done"],
      ...["output_item.added", "function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done"],
      ...["output_item.done"],
      ...["output_item.added", "function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done"],
      ...["output_item.done", "completed"],
    ]);
    const { response } = terminal(said);
    expect(response).toMatchObject({ object: "response", status: "completed", model: "qwen-7b", error: null, incomplete_details: null });
    expect(output(response)).toMatchObject([
      { type: "reasoning", content: [{ type: "reasoning_text", text: "hm" }] },
      { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text: "It is", annotations: [] }] },
      { type: "function_call", call_id: "c1", name: "get_weather", arguments: '{"city":"Paris"}' },
      { type: "function_call", call_id: "c2", name: "get_weather", arguments: '{"city":"Rome"}' },
    ]);
    expect(response.usage).toEqual({
      ...{ input_tokens: 7, input_tokens_details: { cached_tokens: 0 } },
      ...{ output_tokens: 9, output_tokens_details: { reasoning_tokens: 1 }, total_tokens: 16 },
    });
  });

  test("in one piece it is the response that the stream ends with", async () => {
    const reply = [{ reasoning: "hm" }, "It is", ...callOf("get_weather", { city: "Paris" }, 0, "c1")];
    const { base } = await serveScript(reply, reply);
    const body = { ...ASKED, tools: [WEATHER], metadata: { a: "b" }, instructions: "Be brief.", temperature: 0.5 };
    const { response } = terminal(await events(base, body));
    const whole = (await (await post(responses(base), body)).json()) as typeof response;
    expect(withoutIds(whole)).toEqual(withoutIds(response));
    expect(whole).toMatchObject({ metadata: { a: "b" }, instructions: "Be brief.", temperature: 0.5, tools: [WEATHER] });
  });
});

/** What is drawn or of the clock. */
function withoutIds(response: object): unknown {
  const text = JSON.stringify(response).replace(/"(resp|msg|rs|fc)_[0-9a-f]{32}"/g, '"$1"');
  return JSON.parse(text.replace(/"(created_at|completed_at)":\d+/g, '"$1":0'));
}
