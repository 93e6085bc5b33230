// Owns the objects of OpenAI's wire format: what a stream's events are as chunks, and what a whole reply is. Pure (apart from
// drawing an id); any thread.

import type { FinishEvent, PromptToken, StreamEvent, TokenLogprobs, ToolCallEvent, Usage } from "../../../types.js";
import type { Collector, Envelope, Frame, FrameWriter, IncludeUsage, ReplyForm } from "../format.js";
import { placeOf } from "../prompts.js";
import type { WireError } from "../wire-error.js";
import { CompletionLogprobsWriter, chatLogprobs } from "./logprobs.js";

export type ReplyKind = "chat" | "completion";

/** The data of the event that ends a stream. */
const DONE = "[DONE]";

export function newEnvelope(kind: ReplyKind, model: string): Envelope {
  const id = `${kind === "chat" ? "chatcmpl" : "cmpl"}-${crypto.randomUUID().replaceAll("-", "")}`;
  return { id, created: Math.floor(Date.now() / 1000), model };
}

type FinishReason = "stop" | "length" | "tool_calls";

interface WireUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  completion_tokens_details?: { reasoning_tokens?: number; accepted_prediction_tokens?: number; rejected_prediction_tokens?: number };
}

/** The usage of all choices of a reply. Those of one prompt share it, and cached is what not even the first of them had to compute. */
export function wireUsage(usages: readonly Usage[], prompts = 1): WireUsage {
  const groups = Array.from({ length: prompts }, (): Usage[] => []);
  usages.forEach((usage, choice) => {
    groups[placeOf(choice, { choices: usages.length, prompts }).prompt]!.push(usage);
  });
  const sum = (of: (group: readonly Usage[]) => number) => groups.reduce((all, group) => all + of(group), 0);
  const prompt = sum((group) => Math.max(0, ...group.map((usage) => usage.promptTokens)));
  const completion = usages.reduce((sum, usage) => sum + usage.completionTokens, 0);
  const cached = sum((group) => Math.min(...group.map((usage) => usage.cachedTokens)));
  const details = {
    ...told("reasoning_tokens", usages, (usage) => usage.reasoningTokens),
    ...told("accepted_prediction_tokens", usages, (usage) => usage.acceptedPredictionTokens),
    ...told("rejected_prediction_tokens", usages, (usage) => usage.rejectedPredictionTokens),
  };
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
    ...(Object.keys(details).length > 0 ? { completion_tokens_details: details } : {}),
  };
}

/** The sum of all choices, where one of them has any. */
function told(name: string, usages: readonly Usage[], of: (usage: Usage) => number | undefined): Record<string, number> {
  const given = usages.map(of).filter((tokens) => tokens !== undefined);
  return given.length === 0 ? {} : { [name]: given.reduce((sum, tokens) => sum + tokens, 0) };
}

/** The text before a choice's own, where the client wants its prompt back. */
function echoOf(choice: number, form: ReplyForm): string | undefined {
  return form.echoed?.[placeOf(choice, form).prompt];
}

/** Turns the events of a reply's choices into chunks. */
export class ChunkWriter implements FrameWriter {
  readonly #head: object;
  readonly #kind: ReplyKind;
  readonly #choices: number;
  readonly #includeUsage: IncludeUsage;
  readonly #padded: boolean;
  readonly #sofar: UsageSoFar | undefined;
  /** By choice, of those that have ended. */
  readonly #usages: Usage[] = [];
  readonly #form: ReplyForm;
  /** Choices whose role was said, and ones that have ended. */
  readonly #begun = new Set<number>();
  readonly #finished = new Set<number>();
  /** Of the prompt, by choice: told with its text. */
  readonly #told: (PromptToken[] | undefined)[] = [];
  /** Of completions, by choice. */
  readonly #logprobs: CompletionLogprobsWriter[];

  constructor(kind: ReplyKind, { id, created, model }: Envelope, form: ReplyForm) {
    const { choices, includeUsage, continuousUsage = false, obfuscate = false } = form;
    this.#form = form;
    this.#kind = kind;
    this.#choices = choices;
    this.#includeUsage = includeUsage;
    this.#padded = obfuscate;
    this.#sofar = continuousUsage ? new UsageSoFar(form) : undefined;
    this.#logprobs = Array.from({ length: choices }, (_, index) => new CompletionLogprobsWriter(echoOf(index, form)));
    this.#head = { id, object: kind === "chat" ? "chat.completion.chunk" : "text_completion", created, model };
  }

  /** The role chunks of all choices, for those who want them before the first token. Prompts with log-probabilities wait for those. */
  begin(): Frame[] {
    if (this.#form.tellsPrompts === true) return [];
    return Array.from({ length: this.#choices }, (_, index) => this.#begin(index)).flat();
  }

  /** A choice's role chunk, once, as OpenAI sends it: a reply that begins with a call has no content. A completion has its prompt there, or nothing. */
  #begin(index: number, content: "" | null = ""): Frame[] {
    if (this.#begun.has(index)) return [];
    this.#begun.add(index);
    if (this.#kind === "completion") {
      const echo = echoOf(index, this.#form);
      return echo === undefined ? [] : [this.#text(index, echo, null, this.#told[index])];
    }
    return [this.#delta(index, { role: "assistant", content })];
  }

  /** A sign of life: a chunk that says nothing, of the first choice that has not ended. */
  ping(): Frame {
    let index = 0;
    while (this.#finished.has(index)) index += 1;
    if (this.#kind === "completion") return this.#text(index, "", null);
    // Clients take what comes first for the one with the role.
    return this.#begin(index)[0] ?? this.#delta(index, { content: "" });
  }

  /** The chunks that an event makes, the role's before a choice's first: none for what the format has no place for. */
  event(index: number, event: StreamEvent, tokens?: number): Frame[] {
    this.#sofar?.add(index, event, tokens);
    if (event.type === "prompt") (this.#told[index] ??= []).push(...event.tokens);
    // Of a completion the prompt comes first: its tokens count in the places of the text's.
    const before = this.#kind === "completion" && (event.type === "text" || event.type === "finish") ? this.#begin(index) : [];
    const chunks = [...before, ...this.#said(index, event)];
    return chunks.length === 0 || this.#begun.has(index)
      ? chunks
      : [...this.#begin(index, event.type === "toolCall" ? null : ""), ...chunks];
  }

  /** Without [DONE]: a stream that just ends would look whole. */
  fail(error: WireError): Frame[] {
    return [{ data: error.body }];
  }

  end(): Frame[] {
    return [{ data: DONE }];
  }

  #said(index: number, event: StreamEvent): Frame[] {
    switch (event.type) {
      case "text":
        return this.#kind === "chat"
          ? [this.#delta(index, { content: event.text }, null, event.logprobs)]
          : [this.#text(index, event.text, null, event.logprobs)];
      case "reasoning":
        return this.#kind === "chat" && this.#form.omitsReasoning !== true
          ? [this.#delta(index, { reasoning_content: event.text }, null, event.logprobs)]
          : [];
      case "toolCall":
        return this.#kind === "chat" ? this.#call(index, event) : [];
      case "finish":
        return this.#finish(index, event);
      default:
        return [];
    }
  }

  /** A call's first delta has its id and name, and no arguments yet: some clients take those of the first one for all. */
  #call(index: number, { index: call, id, name, argumentsDelta, logprobs }: ToolCallEvent): Frame[] {
    const frames: Frame[] = [];
    if (id !== undefined)
      frames.push(
        this.#delta(
          index,
          { tool_calls: [{ index: call, id, type: "function", function: { name: name ?? "", arguments: "" } }] },
          null,
          logprobs,
        ),
      );
    if (argumentsDelta !== "") {
      const told = id === undefined ? logprobs : undefined; // once
      frames.push(this.#delta(index, { tool_calls: [{ index: call, function: { arguments: argumentsDelta } }] }, null, told));
    }
    return frames;
  }

  #finish(index: number, event: FinishEvent): Frame[] {
    this.#usages[index] = event.usage;
    this.#finished.add(index);
    const reason = finishReason(event);
    const last = this.#finished.size === this.#choices;
    const chunk = this.#kind === "chat" ? this.#delta(index, {}, reason, event.logprobs) : this.#text(index, "", reason);
    if (!last || this.#includeUsage === false) return [chunk];
    const usage = wireUsage(this.#usages, this.#form.prompts);
    return this.#includeUsage === true
      ? [chunk, this.#frame({ ...this.#head, choices: [], usage })]
      : [this.#frame({ ...(chunk.data as object), usage })];
  }

  #delta(index: number, delta: object, reason: FinishReason | null = null, logprobs?: readonly TokenLogprobs[]): Frame {
    const told = logprobs === undefined ? {} : { logprobs: chatLogprobs(logprobs) };
    return this.#chunk({ index, delta, ...told, finish_reason: reason });
  }

  #text(index: number, text: string, reason: FinishReason | null, logprobs?: readonly PromptToken[]): Frame {
    const told = logprobs === undefined ? null : this.#logprobs[index]!.write(logprobs);
    return this.#chunk({ text, index, logprobs: told, finish_reason: reason });
  }

  #chunk(choice: object): Frame {
    const chunk = { ...this.#head, choices: [choice] };
    return this.#frame(this.#includeUsage === true ? { ...chunk, usage: this.#sofar?.usage ?? null } : chunk);
  }

  /** The last ones are padded as all are: they may tell log-probabilities, and how much was said. */
  #frame(data: object): Frame {
    return this.#padded ? { data, padded: true } : { data };
  }
}

/** What was used up to now, told with every piece. */
class UsageSoFar {
  readonly #choices: Usage[];
  readonly #prompts: number | undefined;
  #knowsPrompt = false;

  constructor({ choices, prompts }: ReplyForm) {
    this.#prompts = prompts;
    const none = { promptTokens: 0, completionTokens: 0, totalTokens: 0, cachedTokens: 0 };
    this.#choices = Array.from({ length: choices }, () => none);
  }

  /** Nothing before the prompt is known. */
  get usage(): WireUsage | null {
    return this.#knowsPrompt ? wireUsage(this.#choices, this.#prompts) : null;
  }

  add(index: number, event: StreamEvent, tokens = 0): void {
    const before = this.#choices[index]!;
    if (event.type === "finish") this.#choices[index] = event.usage;
    else if (event.type === "progress") this.#choices[index] = { ...before, ...event };
    else this.#choices[index] = { ...before, completionTokens: tokens };
    this.#knowsPrompt ||= this.#choices[index].promptTokens > 0;
  }
}

/** Clients run what comes with "tool_calls": a call in whose middle a stop string ended the reply is none. */
function finishReason({ reason }: FinishEvent): FinishReason {
  if (reason === "length") return "length";
  return reason === "toolCalls" ? "tool_calls" : "stop";
}

interface CollectedCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

interface CollectedChoice {
  text: string;
  reasoning: string;
  calls: CollectedCall[];
  /** Of all items, where they were asked for. */
  logprobs: PromptToken[] | undefined;
  finish: FinishEvent | undefined;
}

/** Gathers the events of a reply that is sent as one object. */
export class ReplyCollector implements Collector {
  readonly #kind: ReplyKind;
  readonly #envelope: Envelope;
  readonly #form: ReplyForm;
  readonly #choices: CollectedChoice[];

  constructor(kind: ReplyKind, envelope: Envelope, form: ReplyForm) {
    this.#kind = kind;
    this.#envelope = envelope;
    this.#form = form;
    this.#choices = Array.from({ length: form.choices }, () => ({
      text: "",
      reasoning: "",
      calls: [],
      logprobs: undefined,
      finish: undefined,
    }));
  }

  event(index: number, event: StreamEvent): void {
    const choice = this.#choices[index]!;
    if (event.type === "reasoning" && this.#form.omitsReasoning === true) return;
    if (event.type === "prompt") (choice.logprobs ??= []).push(...event.tokens);
    if ("logprobs" in event && event.logprobs !== undefined) (choice.logprobs ??= []).push(...event.logprobs);
    if (event.type === "text") choice.text += event.text;
    else if (event.type === "reasoning") choice.reasoning += event.text;
    else if (event.type === "finish") choice.finish = event;
    else if (event.type === "toolCall") {
      const call = (choice.calls[event.index] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
      call.id ||= event.id ?? "";
      call.function.name ||= event.name ?? "";
      call.function.arguments += event.argumentsDelta;
    }
  }

  /** The `chat.completion` or `text_completion` object, once every choice has its finish event. */
  object(): object {
    const { id, created, model } = this.#envelope;
    const kind = this.#kind;
    const choices = this.#choices.map(({ text, reasoning, calls, logprobs, finish }, index) => {
      const finish_reason = finishReason(finish!);
      if (kind === "completion") {
        const echoed = echoOf(index, this.#form) ?? "";
        const told = logprobs === undefined ? null : new CompletionLogprobsWriter(echoed).write(logprobs);
        return { text: echoed + text, index, logprobs: told, finish_reason };
      }
      const message = {
        role: "assistant",
        content: text === "" && calls.length > 0 ? null : text,
        refusal: null,
        ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
        ...(calls.length === 0 ? {} : { tool_calls: calls }),
      };
      return { index, message, logprobs: logprobs === undefined ? null : chatLogprobs(logprobs as TokenLogprobs[]), finish_reason };
    });
    const usages = this.#choices.map(({ finish }) => finish!.usage);
    const usage = wireUsage(usages, this.#form.prompts);
    return { id, object: kind === "chat" ? "chat.completion" : "text_completion", created, model, choices, usage };
  }
}
