// Owns the names that the one model of a server has on the wire: which ones are answered to, and how they are listed. Main thread.

import { quote } from "../base/quote.js";
import { WireError } from "../http/formats/wire-error.js";

export class ServedNames {
  readonly #names: readonly string[];
  readonly #created = Math.floor(Date.now() / 1000);
  readonly #contextSize: () => number | undefined;

  /** @param names the first is the model's own, the others are aliases */
  constructor(names: readonly string[], contextSize: () => number | undefined) {
    this.#names = [...new Set(names)];
    this.#contextSize = contextSize;
  }

  /** @throws WireError 404 for a name of no model here; none is as good as the first, and Ollama's clients write `:latest` behind one */
  check(name: string | null | undefined): void {
    if (name === undefined || name === null || this.#names.includes(name) || this.#names.includes(name.replace(/:latest$/, ""))) return;
    const known = this.#names.map((one) => JSON.stringify(one)).join(", ");
    const message = `There is no model ${quote(name)} here; there is ${known}.`;
    throw new WireError(404, message, { param: "model", code: "model_not_found" });
  }

  get all(): readonly string[] {
    return this.#names;
  }

  /** When they were first served. */
  get since(): Date {
    return new Date(this.#created * 1000);
  }

  list(): object {
    const data = this.#names.map((name) => this.#object(name));
    return { object: "list", data, has_more: false, first_id: this.#names[0], last_id: this.#names.at(-1) };
  }

  /** @throws WireError 404 */
  one(name: string): object {
    this.check(name);
    return this.#object(name);
  }

  /** With what Anthropic's clients look for beside what OpenAI's do. */
  #object(name: string): object {
    const contextSize = this.#contextSize();
    return {
      id: name,
      object: "model",
      created: this.#created,
      owned_by: "zstream",
      type: "model",
      display_name: name,
      created_at: this.since.toISOString(),
      ...(contextSize === undefined ? {} : { max_model_len: contextSize }),
    };
  }
}
