// Owns what is noted of one request on its way: the line of the log and the numbers of the metrics. Main thread.

import { cutName, cutPath, quoteError } from "../base/quote.js";
import type { Ask, Envelope, WireRequest } from "../http/formats/format.js";
import { type ChoiceForm, placeOf } from "../http/formats/prompts.js";
import { toWireError } from "../http/formats/wire-error.js";
import type { Watcher } from "../http/responder.js";
import type { FinishEvent, PrefixBreak } from "../types.js";
import type { Logger } from "./log.js";
import type { Metrics, Outcome } from "./metrics.js";
import { asksForReply, isRoutine } from "./paths.js";
import type { ServedModels } from "./served-models.js";

/** Characters of an error in a line. */
const LONGEST_ERROR = 1000;

export interface RecordSinks {
  log: Logger;
  metrics: Metrics;
  /** Whether the log may hold what was said. */
  logPrompts: boolean;
  /** Where there are several, a line says which. */
  models: ServedModels;
}

/** One request; `end` is called once, by whoever knows that it is over. */
export class RequestRecord implements Watcher {
  readonly #sinks: RecordSinks;
  readonly #began = performance.now();
  readonly #line: Record<string, unknown>;
  readonly #finishes: FinishEvent[] = [];
  /** Per choice: when its last text came. */
  readonly #lastText: number[] = [];
  #form: ChoiceForm = { choices: 1 };
  /** As metrics name it. */
  #model: string | undefined;
  #error: unknown;
  #cancelled = false;
  #generates = false;
  #ended = false;

  constructor(sinks: RecordSinks, id: string, method: string, path: string) {
    this.#sinks = sinks;
    this.#line = { id, method: cutName(method), path: cutPath(path) };
  }

  /** The reply is still being generated. */
  get ongoing(): boolean {
    return this.#generates && !this.#ended;
  }

  /** The request was understood; from here on the reply's end is the request's. */
  onRequest(request: WireRequest, envelope: Envelope): void {
    this.#generates = true;
    this.#form = request;
    const { stream, choices, ignored } = request;
    const model = this.#sinks.models.ownName(request.model);
    this.#model = model;
    Object.assign(this.#line, {
      reply: envelope.id,
      ...(model === undefined ? {} : { model }),
      stream,
      ...(choices > 1 ? { n: choices } : {}),
    });
    if (ignored.length > 0) this.#line.ignored = ignored.slice(0, 16).map(cutName);
    if (this.#sinks.logPrompts) this.#line.prompt = promptIn(request.ask);
  }

  onText(choice: number, waitedFor: boolean): void {
    const now = performance.now();
    const last = this.#lastText[choice];
    if (last !== undefined && waitedFor) this.#sinks.metrics.onInterToken(now - last, this.#model);
    this.#lastText[choice] = now;
  }

  onFinish(choice: number, finish: FinishEvent): void {
    this.#finishes.push(finish);
    this.#sinks.metrics.onFinish(finish, placeOf(choice, this.#form).copy === 0, this.#model);
  }

  onError(error: unknown): void {
    this.#error = error;
  }

  onCancel(): void {
    this.#cancelled = true;
  }

  onEnd(): void {
    const error = this.#error === undefined ? undefined : toWireError(this.#error);
    this.end(this.#cancelled ? 499 : (error?.status ?? 200), this.#error);
  }

  /** The answer is known, and nothing follows it. */
  end(status: number, error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    const ms = Math.round(performance.now() - this.#began);
    const outcome = this.#outcome(status);
    if (this.#line.method === "POST" && asksForReply(String(this.#line.path))) this.#sinks.metrics.onRequest(outcome, ms, this.#model);
    const failed = error === undefined ? {} : { error: quoteError(error, LONGEST_ERROR) };
    const line = { ...this.#line, status, ms, ...this.#numbers(), ...failed };
    const level = status >= 500 ? "error" : status === 429 || isRoutine(String(this.#line.path)) ? "debug" : "info";
    this.#sinks.log[level](line, outcome === "rejected" ? "refused" : this.#generates ? outcome : "answered");
  }

  #outcome(status: number): Outcome {
    if (this.#cancelled) return "cancelled";
    if (status >= 400) return this.#generates && status >= 500 ? "error" : "rejected";
    return this.#finishes.some(({ reason }) => reason === "length") ? "length" : "stop";
  }

  #numbers(): Record<string, unknown> {
    const [first] = this.#finishes;
    if (first === undefined) return {};
    const { queueMs, ttftMs, tokensPerSecond, prefix } = first.timings;
    return {
      promptTokens: first.usage.promptTokens,
      cachedTokens: first.usage.cachedTokens,
      ...(prefix === undefined ? {} : { prefix: this.#sinks.logPrompts ? prefix : withoutText(prefix) }),
      completionTokens: this.#finishes.reduce((sum, { usage }) => sum + usage.completionTokens, 0),
      queueMs: Math.round(queueMs),
      ...(ttftMs === undefined ? {} : { ttftMs: Math.round(ttftMs) }),
      tokensPerSecond: Math.round(tokensPerSecond * 10) / 10,
    };
  }
}

function withoutText({ text: _, ...rest }: PrefixBreak): Omit<PrefixBreak, "text"> {
  return rest;
}

/** As the client wrote it, but for an array of one. */
function promptIn(ask: Ask): unknown {
  if ("messages" in ask) return ask.messages;
  return ask.prompts.length === 1 ? ask.prompts[0] : ask.prompts;
}
