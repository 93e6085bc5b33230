// Owns pull(): a model of Hugging Face fetched, or found, for a program that wants its file and not its replies. Any thread.

import { readSignal } from "../options/custom.js";
import { reading } from "../options/foreign.js";
import { type Rule, readOptions } from "../options/rules.js";
import type { FetchEvent, PulledModel, PullOptions } from "../types.js";
import { fractionOf } from "./news.js";
import { readReference } from "./reference.js";

const RULES = {
  signal: { kind: "custom", read: readSignal },
  onProgress: { kind: "function" },
  update: { kind: "boolean", default: false },
} as const satisfies Record<string, Rule>;

/**
 * Fetches a model of Hugging Face into its cache folder, which other tools share; one that is there already takes no request. What `new ZSE("hf:…")` does
 * by itself, for the time before a model is wanted.
 *
 * ```js
 * const { path } = await pull("hf:Qwen/Qwen3-0.6B-GGUF:Q8_0");
 * ```
 *
 * Rejects with ZSEError BAD_OPTION, MODEL_NOT_FOUND (no such repository, revision or file, or it may not be read), DOWNLOAD_FAILED, UNSUPPORTED (no model of
 * the repository fits into memory), and with the signal's own reason or what `onProgress` throws.
 */
export async function pull(reference: string | URL, options?: PullOptions): Promise<PulledModel> {
  const { signal, onProgress, update } = reading("pull()", () => readOptions(RULES, options, "pull()")) as PullOptions;
  const { pullContext, pullModel } = await import("./pull.js"); // most programs never fetch anything: they load no HTTP client
  const model = readReference(reference instanceof URL ? reference.href : reference);
  const stop = new AbortController();
  const abort = () => stop.abort(signal?.reason); // the signal may be of another realm
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const share = fractionOf();
  const onEvent = (event: FetchEvent) => {
    try {
      onProgress?.(share(event), event);
    } catch (error) {
      stop.abort(error); // the caller's own: it ends the download, and arrives as it is
    }
  };
  try {
    const pulled = await pullModel(model, pullContext({ signal: stop.signal, onEvent, update: update === true }));
    stop.signal.throwIfAborted();
    return pulled;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
