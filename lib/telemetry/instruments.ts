// Owns the metrics: GenAI's histograms, with the buckets that its conventions advise. Any thread.

import type { Attributes, Histogram } from "@opentelemetry/api";
import type { NativeFinish } from "../addon/contract.js";
import { type Api, quietly } from "./api.js";
import { secondsPerToken } from "./attributes.js";

const SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];
const TO_FIRST = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const PER_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];

interface Instruments {
  operationDuration: Histogram;
  tokenUsage: Histogram;
  requestDuration: Histogram;
  timeToFirstToken: Histogram;
  timePerOutputToken: Histogram;
}

/** By who provides them: a test, or a program, may register another SDK later. */
const made = new WeakMap<object, Instruments>();

function instrumentsOf(api: Api): Instruments {
  const provider = api.metrics.getMeterProvider();
  let instruments = made.get(provider);
  if (instruments === undefined) {
    const meter = provider.getMeter("zstream");
    const histogram = (name: string, unit: string, description: string, explicitBucketBoundaries: number[]) =>
      meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries } });
    instruments = {
      operationDuration: histogram("gen_ai.client.operation.duration", "s", "From the call to the reply's end", SECONDS),
      tokenUsage: histogram("gen_ai.client.token.usage", "{token}", "Tokens of prompts and replies", TOKENS),
      requestDuration: histogram("gen_ai.server.request.duration", "s", "Time of a request in the engine", SECONDS),
      timeToFirstToken: histogram("gen_ai.server.time_to_first_token", "s", "From the request to its first token", TO_FIRST),
      timePerOutputToken: histogram("gen_ai.server.time_per_output_token", "s", "Time for each token after the first one", PER_TOKEN),
    };
    made.set(provider, instruments);
  }
  return instruments;
}

/** One call whose answer is numbers. `tokens` of its texts are there where it was answered. */
export function recordTexts(api: Api, seconds: number, tokens: number | undefined, attributes: Attributes): void {
  quietly(() => {
    const { operationDuration, requestDuration, tokenUsage } = instrumentsOf(api);
    operationDuration.record(seconds, attributes);
    requestDuration.record(seconds, attributes);
    if (tokens !== undefined) tokenUsage.record(tokens, { ...attributes, "gen_ai.token.type": "input" });
  });
}

/** One reply. `finish` is there where the engine has counted. */
export function recordReply(api: Api, seconds: number, finish: NativeFinish | undefined, attributes: Attributes): void {
  quietly(() => {
    const { operationDuration, requestDuration, tokenUsage, timeToFirstToken, timePerOutputToken } = instrumentsOf(api);
    operationDuration.record(seconds, attributes);
    requestDuration.record(seconds, attributes);
    if (finish === undefined) return;
    const { usage, timings } = finish;
    tokenUsage.record(usage.promptTokens, { ...attributes, "gen_ai.token.type": "input" });
    tokenUsage.record(usage.completionTokens, { ...attributes, "gen_ai.token.type": "output" });
    if (timings.ttftMs !== undefined) timeToFirstToken.record(timings.ttftMs / 1000, attributes);
    const perToken = secondsPerToken(timings);
    if (perToken !== undefined) timePerOutputToken.record(perToken, attributes);
  });
}
