// Owns opening the model of a request, and what is told of it meanwhile. JS thread of the models.

import type { WireRequest } from "./formats/format.js";
import { WireError } from "./formats/wire-error.js";
import { LateModel } from "./late-model.js";
import type { ChosenModel } from "./models.js";
import type { HeldModel, Observer, ServedModel } from "./types.js";

/** The model that a request's streams are opened on. */
export interface Opened {
  /** It is to be released once they are. Of a model that comes late it is not settled yet. */
  held: Promise<HeldModel>;
  model: ServedModel;
}

/**
 * Opens the model of a request for a reply. One that loads for longer than `patienceMs` comes late: the headers of streams go out, and signs of life, but
 * for those whose prompt takes the model before it can be asked.
 * @throws WireError 499 where the client leaves, and what is wrong with the model
 */
export async function openFor(
  request: WireRequest,
  chosen: ChosenModel,
  patienceMs: number,
  { signal, watcher }: { signal?: AbortSignal | undefined; watcher?: Observer | undefined },
): Promise<Opened> {
  const leaving = new AbortController();
  const leave = () => leaving.abort();
  signal?.addEventListener("abort", leave, { once: true });
  if (signal?.aborted) leave();
  const held = chosen.open(leaving.signal);
  try {
    const mayBeLate = chosen.mayBeLate && request.stream && request.answer === undefined && asksPlainly(request);
    if (!mayBeLate) return { held, model: (await held).model };
    const inTime = await within(patienceMs, held);
    return { held, model: inTime?.model ?? new LateModel(held, leave) };
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    watcher?.onCancel?.();
    throw clientLeft();
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}

/** Runs something on a model, which is open meanwhile. Throws as openFor(). */
export async function onModel<Value>(
  chosen: ChosenModel,
  signal: AbortSignal | undefined,
  run: (model: ServedModel) => Promise<Value>,
): Promise<Value> {
  const { model, release } = await chosen.open(signal).catch((error: unknown) => {
    throw signal?.aborted === true ? clientLeft() : error;
  });
  try {
    return await run(model);
  } finally {
    release();
  }
}

function clientLeft(): WireError {
  return new WireError(499, "The client has left.", { code: "cancelled" });
}

/** Whether nothing of the request takes the model before its streams are opened. */
function asksPlainly({ ask, truncates, echoes }: WireRequest): boolean {
  if (truncates === true || echoes === true) return false;
  return "messages" in ask || ask.prompts.every((prompt) => typeof prompt === "string");
}

/** What a promise comes to within so many ms; undefined where that takes longer. */
async function within<Value>(ms: number, promise: Promise<Value>): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
