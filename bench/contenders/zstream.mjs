// Owns zStream as a contender: its public library, in the measuring process; this checkout's, or that of another folder.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "../../scripts/paths.mjs";
import { residentBytes } from "../lib/memory.mjs";
import { Arrivals } from "../lib/reply.mjs";

/** Nothing may end a reply early, and the greedy one takes no time for a lottery. */
const greedy = { temperature: 0, ignoreEos: true };

/** Opens the model as bench/contenders/index.mjs says. */
export async function open({
  folder = root,
  earlier = false,
  model: path,
  threads,
  contextSize,
  maxStreams,
  cacheDir,
  latencyTargetMs,
  isolate,
  speculate = false,
  startedAt,
}) {
  const { exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const load = (name) => import(pathToFileURL(join(folder, exports[name].default)).href);
  const { ZSE } = await load(".");
  const options = {
    threads,
    contextSize,
    maxStreams,
    maxQueue: 0,
    ...(latencyTargetMs && { latencyTargetMs }),
    ...(isolate && { isolate }),
    // A model of random weights repeats itself, which would make rows about other things flattering. Earlier builds know no such option.
    ...(!earlier && { speculate }),
  };
  const model = new ZSE(path, { ...options, ...(cacheDir && { promptCache: { dir: cacheDir } }) });
  await model.ready;

  return {
    startedAt,
    inProcess: true,
    model,
    load,
    tokenize: (text) => model.tokenize(text),

    async generate(prompt, { maxTokens, signal, onText, sampling = greedy, ...guesses }) {
      const arrivals = new Arrivals(onText);
      try {
        for await (const event of model.completionStream(prompt, { ...sampling, maxTokens, signal, ...guesses }).events()) {
          if (event.type === "text") arrivals.add(event.text);
          else if (event.type === "finish") {
            const { completionTokens: tokens, promptTokens, cachedTokens } = event.usage;
            return arrivals.end({ tokens, promptTokens, cachedTokens });
          }
        }
      } catch (error) {
        if (!signal?.aborted) throw error;
      }
      return arrivals.end({ tokens: arrivals.arrivals.length });
    },

    /** The ids of the tokens of a greedy reply: its text may be tokenized otherwise. */
    async drawn(prompt, { maxTokens }) {
      const { logprobs } = await model.completion(prompt, { ...greedy, maxTokens, logprobs: true, speculate: false });
      return logprobs.map(({ id }) => id);
    },

    async chat(messages, { maxTokens, tools }) {
      const times = [];
      const options = tools ? { temperature: 0, tools, toolChoice: "required", maxSteps: 1 } : greedy;
      for await (const event of model.chatStream(messages, { ...options, maxTokens }).events()) {
        if (event.type === "text" || event.type === "toolCall") times.push(performance.now());
        if (event.type === "finish") return { times, tokens: event.usage.completionTokens, promptTokens: event.usage.promptTokens };
      }
    },

    async drain(prompt, { maxTokens }) {
      let length = 0;
      for await (const text of model.completionStream(prompt, { ...greedy, maxTokens })) length += text.length;
      return length;
    },

    /** Readers that take one piece each and then nothing. */
    async stall(prompts, { maxTokens }) {
      const before = model.stats().generatedTokens;
      const streams = prompts.map((prompt) => model.completionStream(prompt, { ...greedy, maxTokens }));
      await Promise.all(streams.map((stream) => stream[Symbol.asyncIterator]().next()));
      return {
        /** Tokens made for them; `others`: how many went to other streams meanwhile. */
        generated: async (others) => model.stats().generatedTokens - before - others,
        async end() {
          for (const stream of streams) stream.abort();
        },
      };
    },

    memory: async () => residentBytes(),
    cachedBytes: () => model.stats().cacheRamBytes,
    close: () => model.close(),
  };
}
