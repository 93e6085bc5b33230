// The types of the providers, as promises: what they give is what their ecosystems take, of each version. Checked by `npm run typecheck`. Never run.

import type { LanguageModelV3, LanguageModelV3CallOptions } from "@ai-sdk/provider";
import type { BaseChatModel } from "@langchain/core/language_models/chat_models";
import type { LanguageModel } from "ai";
import type { LanguageModelV4, LanguageModelV4CallOptions } from "ai-sdk-provider-4";
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { ZSE } from "../../lib/index.js";
import { type ZSELanguageModel, zse } from "../../lib/providers/ai-sdk/index.js";
import { ChatZSE } from "../../lib/providers/langchain/index.js";

const model = new ZSE("model.gguf");

// AI SDK 7 and 6.
expectTypeOf(zse(model)).toExtend<LanguageModelV4>();
expectTypeOf(zse(model, { specification: "v3" })).toExtend<LanguageModelV3>();
expectTypeOf(zse(model, { specification: "v3" })).toExtend<LanguageModel>();
expectTypeOf(zse(model)).toEqualTypeOf<ZSELanguageModel<"v4">>();

// Whatever the SDK asks is read.
expectTypeOf<LanguageModelV4CallOptions>().toExtend<Parameters<ZSELanguageModel<"v4">["doStream"]>[0]>();
expectTypeOf<LanguageModelV3CallOptions>().toExtend<Parameters<ZSELanguageModel<"v3">["doStream"]>[0]>();

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
