// Owns which model a request is for: the one there is, whatever it is called, or one of a pool by its name. JS thread of the models.

import { quote } from "../base/quote.js";
import { AdaptedModel, adapterIn, splitName } from "./adapted-model.js";
import { WireError } from "./formats/wire-error.js";
import { checkModel, isPool } from "./options.js";
import type { HeldModel, Occupancy, ServedModel, ServedPool } from "./types.js";

/** The models that a responder answers for. */
export interface Models {
  /** The one that a request means by this name; undefined where it names none. @throws WireError 404 */
  of(name: string | undefined): ChosenModel;
  /** The name that replies carry where their requests name no model. */
  usualName(): string;
  /** How many streams are where, of all of them together. */
  occupancy(): Occupancy | undefined;
}

/** A model that need not be open. */
export interface ChosenModel {
  /** It may be closed, and take long to open: streams are told that they have begun before it is there. */
  readonly mayBeLate: boolean;
  /** Resolves once it is open. Rejects with what is wrong with it, and the signal's reason. */
  open(signal?: AbortSignal): Promise<HeldModel>;
  /** Takes it out of memory, unless somebody uses it. Resolves with whether it is out. */
  unload(): Promise<boolean>;
  occupancy(): Occupancy | undefined;
}

/** @throws ZSEError BAD_OPTION */
export function modelsOf(given: ServedModel | ServedPool, of: string): Models {
  if (isPool(given)) return new SeveralModels(given);
  checkModel(given, of);
  return new OneModel(given);
}

/** It answers to every name: who mounts a handler decides who reaches it. */
class OneModel implements Models, ChosenModel {
  readonly mayBeLate = false;
  readonly #model: ServedModel;

  constructor(model: ServedModel) {
    this.#model = model;
  }

  of(name: string | undefined): ChosenModel {
    const adapter = adapterIn(name, this.#model.info);
    return adapter === undefined ? this : new AdaptedModel(this, adapter, () => noSuchModel(name!, [this.usualName()]));
  }

  async open(): Promise<HeldModel> {
    await this.#model.ready;
    return { model: this.#model, release: () => {} };
  }

  /** It is not this server's to open again. */
  async unload(): Promise<boolean> {
    return false;
  }

  usualName(): string {
    return this.#model.info?.name ?? "local";
  }

  occupancy(): Occupancy | undefined {
    return this.#model.stats?.();
  }
}

class SeveralModels implements Models {
  readonly #pool: ServedPool;
  readonly #chosen = new Map<string, ChosenModel>();

  constructor(pool: ServedPool) {
    this.#pool = pool;
    for (const name of pool.names) {
      this.#chosen.set(name, {
        mayBeLate: true,
        open: (signal) => pool.acquire(name, { signal }),
        unload: async () => (await pool.unload?.(name)) ?? false,
        occupancy: () => pool.model(name).stats?.(),
      });
    }
  }

  of(name: string | undefined): ChosenModel {
    const { names } = this.#pool;
    const chosen = this.#chosen.get(nameAmong(names, name) ?? "");
    if (chosen !== undefined) return chosen;
    const unknown = () => noSuchModel(name!, names);
    const { base, adapter } = splitName(name!) ?? {};
    const model = base === undefined ? undefined : this.#chosen.get(nameAmong(names, base) ?? "");
    if (model === undefined) throw unknown();
    return new AdaptedModel(model, adapter!, unknown);
  }

  usualName(): string {
    return this.#pool.names[0]!;
  }

  /** What waits anywhere waits for streams of others to end: they may stand in its place. */
  occupancy(): Occupancy {
    const all = { queued: 0, prefilling: 0, decoding: 0, parked: 0, freeSlots: 0, spilled: 0 };
    for (const model of new Set(this.#pool.names.map((name) => this.#pool.model(name)))) {
      const { spilled = 0, ...stats } = model.stats?.() ?? NOTHING;
      all.spilled += spilled;
      for (const name of COUNTED) all[name] += stats[name];
    }
    return all;
  }
}

const COUNTED = ["queued", "prefilling", "decoding", "parked", "freeSlots"] as const;
const NOTHING: Occupancy = { queued: 0, prefilling: 0, decoding: 0, parked: 0, freeSlots: 0 };

/** The name that is meant; Ollama's clients write `:latest` behind one, and none is the first. undefined: there is no such model. */
export function nameAmong(names: readonly string[], name: string | null | undefined): string | undefined {
  if (name === undefined || name === null) return names[0];
  if (names.includes(name)) return name;
  const short = name.replace(/:latest$/, "");
  return names.includes(short) ? short : undefined;
}

export function noSuchModel(name: string, names: readonly string[]): WireError {
  const known = names.map((one) => JSON.stringify(one)).join(", ");
  const message = `There is no model ${quote(name)} here; there is ${known}.`;
  return new WireError(404, message, { param: "model", code: "model_not_found" });
}
