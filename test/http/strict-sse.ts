// A parser of event streams that refuses whatever some real client would stumble over. It decodes in two ways at once: as
// openai-python does (an event is dispatched at a blank line whenever anything, an id included, was seen before) and as the seed's
// scripts do (lines that begin with "data: "). Both must come to the same.

import { expect } from "vitest";

export interface Chunk {
  id: string;
  object: string;
  created: number;
  model: string;
  choices: {
    index: number;
    delta?: { role?: string; content?: string };
    text?: string;
    finish_reason: string | null;
    logprobs?: object | null;
  }[];
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens: number; prompt_tokens_details?: object } | null;
}

export interface Parsed {
  chunks: Chunk[];
  done: boolean;
  error: { message: string; type: string; param: string | null; code: string | null } | undefined;
  pings: number;
  ids: number[];
  /** Text per choice. */
  texts: string[];
  finishReasons: string[];
}

export interface Rules {
  /** Only where the client asked for a resumable stream. */
  ids?: boolean;
  /** The stream was cut off by the test: no ending is expected. */
  cut?: boolean;
}

/** Checks a whole stream and returns what it says. Throws (through expect) on anything WIRE.md forbids. */
export function parseStrictly(bytes: Uint8Array | string, rules: Rules = {}): Parsed {
  const text = typeof bytes === "string" ? bytes : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  expect(text.startsWith("\ufeff"), "no byte order mark").toBe(false);
  expect(text.includes("\r"), "lines end in \\n alone").toBe(false);
  expect(/[\u0085\u2028\u2029]/.test(text), "nothing that Unicode takes for the end of a line").toBe(false);
  const lines = text.split("\n");
  const rest = lines.pop()!;
  if (rules.cut !== true) expect(rest, "the last line is complete").toBe("");

  const result: Parsed = { chunks: [], done: false, error: undefined, pings: 0, ids: [], texts: [], finishReasons: [] };
  const seedWay: string[] = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
  const pythonWay: string[] = [];
  let data: string[] = [];
  let lastEventId: string | undefined;
  for (const line of lines) {
    if (line === "") {
      // openai-python: nothing seen at all → no event; otherwise an event, whose data must parse.
      expect(lastEventId === undefined && data.length === 0, "no blank line without an event").toBe(false);
      expect(data.length, "every event has exactly one data line").toBe(1);
      pythonWay.push(data.join("\n"));
      data = [];
      continue;
    }
    if (line.startsWith("id: ")) {
      expect(rules.ids === true, "id: only where it was asked for").toBe(true);
      lastEventId = line.slice(4);
      expect(lastEventId).toMatch(/^\d+$/);
      result.ids.push(Number(lastEventId));
    } else {
      expect(line.startsWith("data: "), `only data and id lines, no comments: ${line.slice(0, 60)}`).toBe(true);
      data.push(line.slice(6));
    }
  }
  if (rules.cut !== true) {
    expect(data, "the last event is complete").toEqual([]);
    expect(seedWay).toEqual(pythonWay);
  }
  for (const one of pythonWay) takeEvent(one, result);
  if (rules.cut !== true) expect(result.done !== (result.error !== undefined), "either [DONE] or an error ends it").toBe(true);
  checkChunks(result);
  return result;
}

function takeEvent(data: string, result: Parsed): void {
  expect(result.done, "nothing follows [DONE]").toBe(false);
  expect(result.error, "nothing follows an error").toBe(undefined);
  if (data === "[DONE]") {
    result.done = true;
    return;
  }
  const value = JSON.parse(data) as Chunk | { error: NonNullable<Parsed["error"]> };
  if ("error" in value) {
    expect(Object.keys(value)).toEqual(["error"]);
    expect(Object.keys(value.error)).toEqual(["message", "type", "param", "code"]);
    result.error = value.error;
    return;
  }
  result.chunks.push(value);
}

function checkChunks(result: Parsed): void {
  const [first] = result.chunks;
  if (first === undefined) return;
  const began = new Set<number>();
  const ended = new Set<number>();
  for (const chunk of result.chunks) {
    expect([chunk.id, chunk.created, chunk.model, chunk.object]).toEqual([first.id, first.created, first.model, first.object]);
    expect(Object.keys(chunk).slice(0, 5)).toEqual(["id", "object", "created", "model", "choices"]);
    expect(
      Object.keys(chunk)
        .slice(5)
        .every((key) => key === "usage"),
    ).toBe(true);
    expect(chunk.choices.length).toBeLessThanOrEqual(1);
    for (const choice of chunk.choices) {
      const { index } = choice;
      expect(ended.has(index), "nothing of a choice follows its finish_reason").toBe(false);
      if (first.object === "chat.completion.chunk") {
        // Log-probabilities only where there are any, beside what they belong to.
        const told = "logprobs" in choice ? ["logprobs"] : [];
        expect(Object.keys(choice)).toEqual(["index", "delta", ...told, "finish_reason"]);
        if ("logprobs" in choice) expect([typeof choice.logprobs, choice.finish_reason]).toEqual(["object", null]);
        // The role comes first and once.
        expect(choice.delta?.role).toBe(began.has(index) ? undefined : "assistant");
        if (choice.finish_reason !== null) expect(choice.delta).toEqual({});
      } else {
        expect(Object.keys(choice)).toEqual(["text", "index", "logprobs", "finish_reason"]);
      }
      // A heartbeat: a chunk that says nothing.
      if (choice.finish_reason === null && (choice.text === "" || JSON.stringify(choice.delta) === '{"content":""}')) result.pings++;
      began.add(index);
      result.texts[index] = (result.texts[index] ?? "") + (choice.delta?.content ?? choice.text ?? "");
      if (choice.finish_reason !== null) {
        ended.add(index);
        result.finishReasons[index] = choice.finish_reason;
      }
    }
  }
  expect(first.id).toMatch(first.object === "chat.completion.chunk" ? /^chatcmpl-[0-9a-f]{32}$/ : /^cmpl-[0-9a-f]{32}$/);
  if (result.done) expect(ended, "every choice ended").toEqual(began);
}
