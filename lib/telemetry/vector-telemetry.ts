// Owns the span and the metrics of a call whose answer is numbers: embed() and rerank(). JS thread of the model. GenAI's conventions know the first one.

import type { TextUsage } from "../types.js";
import { quietly, registered } from "./api.js";
import { askedName } from "./asked.js";
import { commonAttributes, errorType } from "./attributes.js";
import { recordTexts } from "./instruments.js";
import { type NamedModel, nameOf } from "./model-name.js";

export type VectorOperation = "embeddings" | "rerank";

interface Abortable {
  signal?: AbortSignal | undefined;
}

/** Runs the call, and tells what became of it where somebody listens. */
export async function watchVectors<Value extends { usage: TextUsage }>(
  operation: VectorOperation,
  model: NamedModel,
  run: () => Promise<Value>,
  options?: Abortable,
): Promise<Value> {
  const api = registered();
  if (api === undefined) return await run();
  const began = performance.now();
  const asked = askedName();
  const attributes = commonAttributes(operation, asked ?? nameOf(model));
  const { INTERNAL: kind } = api.SpanKind;
  const span = quietly(() => api.trace.getTracer("zstream").startSpan(`${operation} ${asked ?? nameOf(model)}`, { kind, attributes }));
  let tokens: number | undefined;
  let failure: string | undefined;
  let cancelled = false;
  try {
    const value = await run();
    tokens = value.usage.promptTokens;
    return value;
  } catch (error) {
    cancelled = isReasonOf(options, error);
    if (!cancelled) failure = errorType(error);
    throw error;
  } finally {
    const name = nameOf(model); // a model that was loading is called by its file until then
    const told = { ...commonAttributes(operation, name), "gen_ai.response.model": name };
    const ending = failure === undefined ? {} : { "error.type": failure };
    quietly(() => {
      span?.updateName(`${operation} ${asked ?? name}`).setAttributes({ ...told, "gen_ai.request.model": asked ?? name, ...ending });
      if (tokens !== undefined) span?.setAttribute("gen_ai.usage.input_tokens", tokens);
      if (cancelled) span?.setAttribute("gen_ai.response.finish_reasons", ["cancelled"]);
      if (failure !== undefined) span?.setStatus({ code: api.SpanStatusCode.ERROR, message: failure });
      span?.end();
    });
    recordTexts(api, (performance.now() - began) / 1000, tokens, { ...told, ...ending });
  }
}

/** Whether it is why the caller has left: that is no error, as with a stream. The options may be anybody's. */
function isReasonOf(options: Abortable | undefined, error: unknown): boolean {
  return quietly(() => options?.signal?.aborted === true && options.signal.reason === error) ?? false;
}
