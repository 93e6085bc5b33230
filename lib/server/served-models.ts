// Owns the models of a server as its clients see them: which names are answered to, and how they are listed. Main thread.

import { hasAdapter, splitName } from "../http/adapted-model.js";
import { nameAmong, noSuchModel } from "../http/models.js";
import type { EngineStats, ModelInfo } from "../types.js";

/** How a model of several is, in llama-server's words. */
export interface ModelStatus {
  value: "unloaded" | "loading" | "loaded";
  /** It could not be opened when that was last tried. */
  failed?: true;
}

/** One model, open or not. */
export interface Served {
  /** The first is its own, the others are aliases. */
  readonly names: readonly string[];
  /** Of a model that is not open, as it was last. */
  info(): ModelInfo | undefined;
  stats(): EngineStats;
  /** Absent where it is open for as long as the server runs. */
  status?(): ModelStatus;
}

export class ServedModels {
  readonly all: readonly Served[];
  readonly #byName = new Map<string, Served>();
  readonly #names: readonly string[];
  readonly #created = Math.floor(Date.now() / 1000);

  constructor(models: readonly Served[]) {
    this.all = models;
    for (const model of models) for (const name of model.names) this.#byName.set(name, model);
    this.#names = [...this.#byName.keys()];
  }

  /** The one that is meant where none is named. */
  get usualName(): string {
    return this.#names[0]!;
  }

  /** @throws WireError 404 for a name of no model here */
  check(name: string | null | undefined): void {
    this.find(name);
  }

  /** The one that is meant, by which of its names. @throws WireError 404 */
  find(name: string | null | undefined): { name: string; model: Served } {
    const known = nameAmong(this.#names, name);
    if (known !== undefined) return { name: known, model: this.#byName.get(known)! };
    const found = this.#withAdapter(name!);
    if (found === undefined)
      throw noSuchModel(
        name!,
        this.entries.map((one) => one.name),
      );
    return found;
  }

  /** Of a model that is not open, any adapter may be one of its own. */
  #withAdapter(name: string): { name: string; model: Served } | undefined {
    const { base, adapter } = splitName(name) ?? {};
    const known = base === undefined ? undefined : nameAmong(this.#names, base);
    if (known === undefined) return undefined;
    const model = this.#byName.get(known)!;
    const info = model.info();
    return info === undefined || hasAdapter(info, adapter) ? { name: `${known}:${adapter}`, model } : undefined;
  }

  /** Each name, with its model; and each of a model that is open with each of its adapters. */
  get entries(): readonly { name: string; model: Served }[] {
    return [...this.#byName].flatMap(([name, model]) => [
      { name, model },
      ...(model.info()?.adapters ?? []).map((adapter) => ({ name: `${name}:${adapter.name}`, model })),
    ]);
  }

  /** The model's own name, where there are several; undefined where there is no such model, or but one. */
  ownName(name: string | undefined): string | undefined {
    if (this.all.length === 1) return undefined;
    const known = nameAmong(this.#names, name);
    if (known !== undefined) return this.#byName.get(known)!.names[0];
    return name === undefined ? undefined : this.#withAdapter(name)?.model.names[0];
  }

  /** When they were first served. */
  get since(): Date {
    return new Date(this.#created * 1000);
  }

  list(): object {
    const data = this.entries.map(({ name, model }) => this.#object(name, model));
    return { object: "list", data, has_more: false, first_id: this.#names[0], last_id: this.entries.at(-1)?.name };
  }

  /** @throws WireError 404 */
  one(name: string): object {
    const found = this.find(name);
    return this.#object(name, found.model);
  }

  /** With what Anthropic's clients look for beside what OpenAI's do, and llama-server's of a router. */
  #object(name: string, model: Served): object {
    const contextSize = model.info()?.contextSize;
    const status = model.status?.();
    return {
      id: name,
      object: "model",
      created: this.#created,
      owned_by: "zstream",
      type: "model",
      display_name: name,
      created_at: this.since.toISOString(),
      ...(contextSize === undefined ? {} : { max_model_len: contextSize }),
      ...(status === undefined ? {} : { status }),
    };
  }
}
