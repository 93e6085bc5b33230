// Owns a model as the AI SDK embeds with it. JS thread of the model. Works on anything that embeds as a ZSE does, and imports nothing native.

import { bad } from "../../errors.js";
import { MOST_TEXTS } from "../../options/embeddings.js";
import { isPlainObject, type Rule, readOptions } from "../../options/rules.js";
import type { EmbedOptions } from "../../types.js";
import { checkEmbedder, type EmbeddingSource } from "../model.js";
import { readName } from "./settings.js";
import type { EmbedCallOptions, EmbedResult, SpecificationVersion, ZSEEmbeddingModel } from "./specification.js";

/** Options of embed() that the SDK does not say. */
export type OwnEmbedOptions = Omit<EmbedOptions, "signal">;

export interface ZSEEmbeddingSettings<Version extends SpecificationVersion = "v4"> {
  /** The version of the SDK's specification: "v4" is AI SDK 7's, "v3" AI SDK 6's. Default "v4". */
  specification?: Version | undefined;
  /** The `modelId`. Default: the name in the model's file, and "local" while it loads. */
  name?: string | undefined;
  /** Options of each call; those of `providerOptions.zstream` go before them. */
  options?: OwnEmbedOptions | undefined;
}

const SETTINGS: Record<keyof ZSEEmbeddingSettings, Rule> = {
  specification: { kind: "enum", values: ["v3", "v4"], default: "v4" },
  name: { kind: "custom", read: readName },
  options: { kind: "custom", read: readOwn, default: {} },
};

/**
 * A model of zStream as an embedding model of the AI SDK. The options of `model.embed()` can be given in `providerOptions.zstream`.
 *
 * ```js
 * const { embeddings } = await embedMany({ model: zseEmbedding(new ZSE("embeddinggemma.gguf")), values: ["a", "b"] });
 * ```
 * @throws ZSEError BAD_OPTION
 */
export function zseEmbedding<Version extends SpecificationVersion = "v4">(
  model: EmbeddingSource,
  settings: ZSEEmbeddingSettings<Version> = {},
): ZSEEmbeddingModel<Version> {
  checkEmbedder(model, "zseEmbedding()");
  const read = readOptions(SETTINGS, settings, "zseEmbedding()") as unknown as Required<ZSEEmbeddingSettings<Version>>;
  const { specification, name, options } = read;
  return {
    specificationVersion: specification,
    provider: "zstream",
    get modelId() {
      return name ?? model.info?.name ?? "local";
    },
    maxEmbeddingsPerCall: MOST_TEXTS,
    supportsParallelCalls: true,
    async doEmbed({ values, abortSignal, providerOptions }: EmbedCallOptions): Promise<EmbedResult> {
      const own = readOwn("providerOptions.zstream", providerOptions?.zstream ?? {});
      const signal = abortSignal === undefined ? {} : { signal: abortSignal };
      const { embeddings, usage } = await model.embed([...values], { ...options, ...own, ...signal });
      return { embeddings: embeddings.map((vector) => Array.from(vector)), usage: { tokens: usage.totalTokens }, warnings: [] };
    },
  };
}

/** Values are the model's to check. */
function readOwn(name: string, given: unknown): OwnEmbedOptions {
  if (!isPlainObject(given)) throw bad(name, `${name} must be an object of embed()'s options.`);
  if ("signal" in given) throw bad(name, `${name} takes no signal; the SDK's own option for it is abortSignal.`);
  return given;
}
