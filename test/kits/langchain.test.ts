// LangChain's own standard tests with ChatZSE on the demo model. LangChain does not publish them: `npm run test:kits -- FOLDER` wants
// internal/standard-tests/src of a checkout of its repository (tried with commit 62fc484b, version 0.0.23). What a model of text cannot do is said by the
// kit's own flags: no images, no audio.

import { resolve } from "node:path";
import type { AIMessage, AIMessageChunk } from "@langchain/core/messages";
import { concat } from "@langchain/core/utils/stream";
import { afterAll, test } from "vitest";
import { ZSE } from "../../lib/index.js";
import { ChatZSE } from "../../lib/providers/langchain/index.js";

type Fields = Record<string, unknown>;
declare class Kit {
  constructor(fields: Fields);
  supportedUsageMetadataDetails: { invoke: string[]; stream: string[] };
  runTests(name?: string): void;
  testBindToolsWithRunnableToolLike(callOptions?: Fields): Promise<void>;
  testStopSequence(): Promise<void>;
  testDoubleMessageConversation(): Promise<void>;
}
const { ChatModelUnitTests, ChatModelIntegrationTests } = (await import(resolve(process.env.LANGCHAIN_KIT!, "vitest.ts"))) as {
  ChatModelUnitTests: typeof Kit;
  ChatModelIntegrationTests: typeof Kit;
};

const model = new ZSE({ threads: 1, contextSize: 2048 });
await model.ready;
afterAll(() => model.close());

const fields: Fields = {
  Cls: ChatZSE,
  chatModelHasToolCalling: true,
  chatModelHasStructuredOutput: true,
  supportsParallelToolCalls: true,
  supportsStandardContentType: { text: true, file: ["dataUrl", "text"] },
  constructorArgs: { model, temperature: 0, maxTokens: 200 },
};

class OnTheDemoModel extends ChatModelIntegrationTests {
  override supportedUsageMetadataDetails = {
    invoke: ["cache_read_input", "reasoning_output"],
    stream: ["cache_read_input", "reasoning_output"],
  };

  /** It wants exactly one call, and the demo model makes two of that prompt: its reply ends behind the first. */
  override testBindToolsWithRunnableToolLike() {
    return super.testBindToolsWithRunnableToolLike({ stop: ["</tool_call>\n"] });
  }

  async invokeWithCacheReadInput(streams: boolean): Promise<AIMessage> {
    await ask("Tell me a long story about a fox", streams);
    return ask("Tell me a long story about a fox", streams);
  }

  invokeWithReasoningOutput(streams: boolean): Promise<AIMessage> {
    return ask("Think first: what is 7 + 5?", streams);
  }
}

async function ask(prompt: string, streams: boolean): Promise<AIMessage> {
  const chat = new ChatZSE({ model, temperature: 0, maxTokens: 100 });
  if (!streams) return chat.invoke(prompt);
  let whole: AIMessageChunk | undefined;
  for await (const chunk of await chat.stream(prompt)) whole = whole === undefined ? chunk : concat(whole, chunk);
  return whole as unknown as AIMessage;
}

new ChatModelUnitTests(fields).runTests("LangChain's unit tests");
const kit = new OnTheDemoModel(fields);
kit.runTests("LangChain's integration tests");
test("stop sequences, by call and by model", () => kit.testStopSequence());
test("several messages of one role in a row", () => kit.testDoubleMessageConversation());
