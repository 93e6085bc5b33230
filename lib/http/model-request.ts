// Owns a request as its model takes it: a conversation that fits, token ids that there are, and a stream for each choice. JS thread of the model.

import type { AtOnce } from "./at-once.js";
import { fitted } from "./fitting.js";
import { unsupported } from "./formats/fields.js";
import type { WireRequest } from "./formats/format.js";
import { checkPromptTokens, placeOf } from "./formats/prompts.js";
import { promptAlone } from "./prompt-alone.js";
import { mayOverflow } from "./prompt-size.js";
import type { EventStream, ServedModel } from "./types.js";

/** A request whose conversation fits, where it wants that; whose token ids are looked over, and told as text where their text is wanted. */
export async function requestFor(
  request: WireRequest,
  model: ServedModel,
  questions: AtOnce,
  signal: AbortSignal | undefined,
): Promise<WireRequest> {
  const { ask, echoes } = request;
  if (!("prompts" in ask)) return request.truncates === true ? await shortened(request, model, questions, signal) : request;
  if (ask.prompts.some((prompt) => typeof prompt !== "string")) {
    if (model.detokenize === undefined) throw unsupported("prompt", "This model takes no token ids; give the prompt as text.");
    checkPromptTokens(ask, model.info?.vocabularySize ?? Number.POSITIVE_INFINITY);
  }
  if (echoes !== true) return request;
  const echoed: string[] = [];
  for (const prompt of ask.prompts) {
    echoed.push(typeof prompt === "string" ? prompt : await model.detokenize!(prompt));
  }
  return { ...request, echoed };
}

async function shortened(
  request: WireRequest,
  model: ServedModel,
  questions: AtOnce,
  signal: AbortSignal | undefined,
): Promise<WireRequest> {
  const { ask, options, fieldOf } = request;
  const { contextSize } = model.info ?? {};
  if (!("messages" in ask) || contextSize === undefined || model.countTokens === undefined) return request;
  if (!mayOverflow(request, contextSize)) return request;
  const reply = Math.ceil(Math.min(options.max_tokens ?? contextSize / 4, contextSize / 2));
  const { messages, at, left } = await questions.run(() =>
    fitted(ask.messages, (some) => model.countTokens!({ ...options, messages: some, ...abortable(signal) }), {
      most: contextSize - 1,
      wanted: contextSize - reply,
    }),
  );
  if (left === 0) return request;
  const place = (index: number) => (index < at ? index : index + left);
  const inItsPlace = (param: string) => param.replace(/^messages\[(\d+)\]/, (_, index) => `messages[${place(Number(index))}]`);
  return { ...request, ask: { messages }, fieldOf: (param) => (fieldOf ?? String)(inItsPlace(param)) };
}

/** One stream a choice. With a seed, each choice of a prompt has its own, so that they differ and can be had again. */
export function streamsOf({ ask, options, resumable, ...form }: WireRequest, model: ServedModel, stallTimeoutMs: number): EventStream[] {
  // A resumable stream that nobody reads has a time limit of its own.
  const shared = resumable || stallTimeoutMs === 0 ? options : { ...options, stall_timeout_ms: stallTimeoutMs };
  return Array.from({ length: form.choices }, (_, choice) => {
    const { prompt, copy } = placeOf(choice, form);
    const own = shared.seed === undefined || copy === 0 ? shared : { ...shared, seed: (shared.seed + copy) % (2 ** 32 - 1) };
    if ("messages" in ask) return model.chatStream({ ...ask, ...own });
    const { prompts, ...rest } = ask;
    const stream = model.completionStream({ prompt: prompts[prompt]!, ...rest, ...own });
    return form.promptAlone === true ? promptAlone(stream) : stream;
  });
}

/** An option that a call has only where somebody may end it. */
export function abortable(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
