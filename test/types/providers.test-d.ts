// The types of the providers, as promises: what they give is what their ecosystems take, of each version. Checked by `npm run typecheck`. Never run.

import type { EmbeddingModelV3, EmbeddingModelV3CallOptions, LanguageModelV3, LanguageModelV3CallOptions } from "@ai-sdk/provider";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { BaseChatModel } from "@langchain/core/language_models/chat_models";
import type { EmbeddingModel, LanguageModel } from "ai";
import type { EmbeddingModelV4, EmbeddingModelV4CallOptions, LanguageModelV4, LanguageModelV4CallOptions } from "ai-sdk-provider-4";
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { ZSE } from "../../lib/index.js";
import { type ZSEEmbeddingModel, type ZSELanguageModel, zse, zseEmbedding } from "../../lib/providers/ai-sdk/index.js";
import { ChatZSE, ZSEEmbeddings } from "../../lib/providers/langchain/index.js";

const model = new ZSE("model.gguf");

// AI SDK 7 and 6.
expectTypeOf(zse(model)).toExtend<LanguageModelV4>();
expectTypeOf(zse(model, { specification: "v3" })).toExtend<LanguageModelV3>();
expectTypeOf(zse(model, { specification: "v3" })).toExtend<LanguageModel>();
expectTypeOf(zse(model)).toEqualTypeOf<ZSELanguageModel<"v4">>();

// Whatever the SDK asks is read.
expectTypeOf<LanguageModelV4CallOptions>().toExtend<Parameters<ZSELanguageModel<"v4">["doStream"]>[0]>();
expectTypeOf<LanguageModelV3CallOptions>().toExtend<Parameters<ZSELanguageModel<"v3">["doStream"]>[0]>();

expectTypeOf(zseEmbedding(model)).toExtend<EmbeddingModelV4>();
expectTypeOf(zseEmbedding(model, { specification: "v3" })).toExtend<EmbeddingModelV3>();
expectTypeOf(zseEmbedding(model, { specification: "v3" })).toExtend<EmbeddingModel>();
expectTypeOf<EmbeddingModelV4CallOptions>().toExtend<Parameters<ZSEEmbeddingModel<"v4">["doEmbed"]>[0]>();
expectTypeOf<EmbeddingModelV3CallOptions>().toExtend<Parameters<ZSEEmbeddingModel<"v3">["doEmbed"]>[0]>();
// @ts-expect-error an option of embed() that there is not
zseEmbedding(model, { options: { dimension: 1 } });

// @ts-expect-error there is no such version
zse(model, { specification: "v5" });
// @ts-expect-error an option of a reply that there is not
zse(model, { options: { temprature: 1 } });

// LangChain.
const chat = new ChatZSE({ model, temperature: 0.5, top_p: 0.9, tags: ["mine"] });
expectTypeOf(chat).toExtend<BaseChatModel>();
expectTypeOf(chat.withStructuredOutput(z.object({ a: z.number() })).invoke("Hi")).resolves.toEqualTypeOf<{ a: number }>();
void chat.invoke("Hi", { minP: 0.1, tool_choice: "any", stop: ["x"] });
// @ts-expect-error an option of a reply that there is not
new ChatZSE({ model, temprature: 1 });
// @ts-expect-error LangChain runs tools itself
new ChatZSE({ model, maxSteps: 3 });
expectTypeOf(new ZSEEmbeddings({ model, dimensions: 128, maxRetries: 0 })).toExtend<EmbeddingsInterface>();
// @ts-expect-error an option of embed() that there is not
new ZSEEmbeddings({ model, dimension: 128 });
