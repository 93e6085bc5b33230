// Owns the numbers of GET /metrics: what is counted and measured of requests, in Prometheus's text format by prom-client. Main thread.
//
// Names and buckets: gen_ai_* are the OpenTelemetry GenAI conventions' (in Prometheus's spelling); zstream_* are vLLM's with our
// prefix, with finer buckets below where a small model on a CPU needs them.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { EngineStats, FinishEvent } from "../types.js";

const TTFT = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const PER_TOKEN = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const DURATION = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const QUEUE = [0.001, 0.01, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240];

/** Time (ms) for which the text is given again as it was: making it takes milliseconds of the thread that streams. */
const TEXT_LIFE_MS = 100;

/** How a request ended, as a label. */
export type Outcome = "stop" | "length" | "cancelled" | "error" | "rejected";

/** A model whose numbers are told. */
export interface Measured {
  name: string;
  stats: () => EngineStats;
  /** How it is, of one that is opened and closed. */
  status?: (() => { value: string }) | undefined;
}

type ByModel = "model_name";

export class Metrics {
  readonly #registry = new Registry();
  /** Where there is one, everything has its name; where there are several, each number of a model has. */
  readonly #models: readonly Measured[];
  readonly #ttft: Histogram<ByModel>;
  readonly #perToken: Histogram<ByModel>;
  readonly #interToken: Histogram<ByModel>;
  readonly #duration: Histogram<ByModel>;
  readonly #queue: Histogram<ByModel>;
  readonly #prefill: Histogram<ByModel>;
  readonly #promptTokens: Counter<ByModel>;
  readonly #cacheQueries: Counter<ByModel>;
  readonly #cacheHits: Counter<ByModel>;
  readonly #requests: Counter<"finished_reason" | ByModel>;
  #text = { made: Number.NEGATIVE_INFINITY, text: Promise.resolve("") };

  constructor(models: readonly Measured[]) {
    const registers = [this.#registry];
    this.#models = models;
    const [only] = models;
    if (models.length === 1) this.#registry.setDefaultLabels({ model_name: only!.name });
    collectDefaultMetrics({ register: this.#registry });
    const labelNames: ByModel[] = models.length === 1 ? [] : ["model_name"];
    const histogram = (name: string, help: string, buckets: number[]) => {
      const made = new Histogram({ name, help, buckets, labelNames, registers });
      if (models.length > 1) for (const { name } of models) made.zero({ model_name: name });
      return made;
    };
    const counter = (name: string, help: string) => {
      const made = new Counter({ name, help, labelNames, registers });
      if (models.length > 1) for (const { name } of models) made.inc({ model_name: name }, 0);
      return made;
    };

    this.#ttft = histogram("gen_ai_server_time_to_first_token_seconds", "From the request to its first token.", TTFT);
    this.#perToken = histogram("gen_ai_server_time_per_output_token_seconds", "A reply's mean time per token after the first.", PER_TOKEN);
    this.#interToken = histogram("zstream_inter_token_latency_seconds", "Between two pieces of text, where the reader waited.", PER_TOKEN);
    this.#duration = histogram("gen_ai_server_request_duration_seconds", "From the request to the end of its reply.", DURATION);
    this.#queue = histogram("zstream_request_queue_time_seconds", "From the request to its first prefill step.", QUEUE);
    this.#prefill = histogram("zstream_request_prefill_time_seconds", "From the first prefill step to the first token.", QUEUE);
    this.#promptTokens = counter(
      "zstream_prompt_tokens_total",
      "Prompt tokens of finished replies; of several choices of one prompt, once.",
    );
    this.#cacheQueries = counter("zstream_prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.");
    this.#cacheHits = counter("zstream_prefix_cache_hits_total", "Prompt tokens found in the prefix cache.");
    this.#requests = new Counter({
      name: "zstream_requests_total",
      help: "Requests by how they ended: stop, length, cancelled (by the client), error, rejected (before they began).",
      labelNames: ["finished_reason", ...labelNames],
      registers,
    });
    this.#gauges(labelNames);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    const now = performance.now();
    if (now - this.#text.made > TEXT_LIFE_MS) this.#text = { made: now, text: this.#registry.metrics() };
    return this.#text.text;
  }

  /** A choice came to its end. `first`: of its prompt's choices, so that the prompt is counted once. `model`: which, where there are several. */
  onFinish({ usage, timings }: FinishEvent, first: boolean, model?: string): void {
    const labels = this.#labels(model);
    this.#queue.observe(labels, timings.queueMs / 1000);
    if (first) this.#promptTokens.inc(labels, usage.promptTokens);
    this.#cacheQueries.inc(labels, usage.promptTokens);
    this.#cacheHits.inc(labels, usage.cachedTokens);
    if (usage.completionTokens === 0) return;
    this.#prefill.observe(labels, timings.prefillMs / 1000);
    if (timings.ttftMs !== undefined) this.#ttft.observe(labels, timings.ttftMs / 1000);
    if (timings.tokensPerSecond > 0) this.#perToken.observe(labels, 1 / timings.tokensPerSecond);
  }

  onInterToken(ms: number, model?: string): void {
    this.#interToken.observe(this.#labels(model), ms / 1000);
  }

  /** A request that was refused before it was known which model it is for has none. */
  onRequest(outcome: Outcome, ms: number, model?: string): void {
    this.#requests.inc({ finished_reason: outcome, ...this.#labels(model) });
    if (outcome !== "rejected") this.#duration.observe(this.#labels(model), ms / 1000);
  }

  #labels(model = ""): { model_name?: string } {
    return this.#models.length === 1 ? {} : { model_name: model };
  }

  /** Read from the engines when they are asked for. */
  #gauges(labelNames: ByModel[]): void {
    const registers = [this.#registry];
    const models = this.#models.map(({ name, ...model }) => ({ labels: this.#labels(name), ...model }));
    const gauge = (name: string, help: string, read: (now: EngineStats) => number) =>
      new Gauge({
        name,
        help,
        labelNames,
        registers,
        collect() {
          for (const { labels, stats } of models) this.set(labels, read(stats()));
        },
      });
    gauge("zstream_num_requests_running", "Streams that are prefilled or decoded.", (now) => now.prefilling + now.decoding);
    gauge("zstream_num_requests_waiting", "Streams that wait for a slot.", (now) => now.queued);
    gauge("zstream_num_requests_parked", "Streams that wait for their reader.", (now) => now.parked);
    gauge("zstream_num_requests_spilled", "Of the parked, those whose slot is lent to others.", (now) => now.spilled);
    gauge("zstream_prompt_cache_ram_bytes", "Computed prompts kept in RAM.", (now) => now.cacheRamBytes);
    gauge("zstream_prompt_cache_disk_bytes", "Computed prompts kept on disk.", (now) => now.cacheDiskBytes);
    gauge("zstream_num_texts_embedding", "Texts whose vectors are wanted, and documents to be ranked.", (now) => now.embedding);
    gauge("zstream_slots_free", "Streams that could start at once.", (now) => now.freeSlots);
    const counter = (name: string, help: string, read: (now: EngineStats) => number) =>
      new Counter({
        name,
        help,
        labelNames,
        registers,
        collect() {
          this.reset();
          for (const { labels, stats } of models) this.inc(labels, read(stats()));
        },
      });
    const isPool = models.some(({ status }) => status !== undefined);
    if (isPool) {
      new Gauge({
        name: "zstream_model_open",
        help: "1 for a model that is open.",
        labelNames,
        registers,
        collect() {
          for (const { labels, status } of models) this.set(labels, status?.().value === "loaded" ? 1 : 0);
        },
      });
    }
    const generated = "Tokens generated, those of replies that were cancelled included.";
    counter("zstream_generation_tokens_total", generated, (now) => now.generatedTokens);
    counter("zstream_embedded_tokens_total", "Tokens of texts that were embedded or ranked.", (now) => now.embeddedTokens);
    counter("zstream_drafted_tokens_total", "Tokens of replies that were guessed and computed ahead.", (now) => now.draftedTokens);
    counter("zstream_accepted_tokens_total", "Of the guessed tokens, those that came.", (now) => now.acceptedTokens);
    counter("zstream_engine_restarts_total", "Times that an isolated engine was started again.", (now) => now.restarts ?? 0);
  }
}
