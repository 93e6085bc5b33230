// Owns models that are asked for with an adapter: "qwen:pirate" is the model "qwen" with its adapter "pirate". JS thread of the models.

import type { ChosenModel } from "./models.js";
import type { HeldModel, ServedModel } from "./types.js";

/** The two parts of such a name, by its last colon; undefined where it has none. */
export function splitName(name: string): { base: string; adapter: string } | undefined {
  const colon = name.lastIndexOf(":");
  return colon < 1 || colon === name.length - 1 ? undefined : { base: name.slice(0, colon), adapter: name.slice(colon + 1) };
}

/** The adapter of this model that a name ends with, whatever stands before it. */
export function adapterIn(name: string | undefined, info: ServedModel["info"]): string | undefined {
  const adapter = name === undefined ? undefined : splitName(name)?.adapter;
  return hasAdapter(info, adapter) ? adapter : undefined;
}

export function hasAdapter(info: ServedModel["info"], adapter: string | undefined): boolean {
  return adapter !== undefined && info?.adapters?.some(({ name }) => name === adapter) === true;
}

export class AdaptedModel implements ChosenModel {
  readonly #chosen: ChosenModel;
  readonly #adapter: string;
  readonly #unknown: () => Error;

  /** @param unknown what is thrown where the model, once it is open, has no such adapter */
  constructor(chosen: ChosenModel, adapter: string, unknown: () => Error) {
    this.#chosen = chosen;
    this.#adapter = adapter;
    this.#unknown = unknown;
  }

  get mayBeLate(): boolean {
    return this.#chosen.mayBeLate;
  }

  async open(signal?: AbortSignal): Promise<HeldModel> {
    const { model, release } = await this.#chosen.open(signal);
    if (hasAdapter(model.info, this.#adapter)) return { model: adapted(model, this.#adapter), release };
    release();
    throw this.#unknown();
  }

  unload(): Promise<boolean> {
    return this.#chosen.unload();
  }

  occupancy(): ReturnType<ChosenModel["occupancy"]> {
    return this.#chosen.occupancy();
  }
}

/** The same model, whose streams are computed with the adapter. */
function adapted(model: ServedModel, adapter: string): ServedModel {
  const { countTokens, applyTemplate, prepare, detokenize, stats } = model;
  return {
    chatStream: (request) => model.chatStream({ ...request, adapter }),
    completionStream: (request) => model.completionStream({ ...request, adapter }),
    ...(countTokens === undefined ? {} : { countTokens: (request) => countTokens.call(model, request) }),
    ...(applyTemplate === undefined ? {} : { applyTemplate: (request) => applyTemplate.call(model, request) }),
    ...(prepare === undefined ? {} : { prepare: (request) => prepare.call(model, { ...request, adapter }) }),
    ...(detokenize === undefined ? {} : { detokenize: (tokens) => detokenize.call(model, tokens) }),
    ...(stats === undefined ? {} : { stats: () => stats.call(model) }),
    ready: model.ready,
    info: model.info,
  };
}
