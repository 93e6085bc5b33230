// Owns the list of contenders. Each but raw is a module whose `open(job)` loads the model and gives an engine that every row drives in
// the same way:
//
//   tokenize(text)                                   → promise of token ids
//   generate(prompt, { maxTokens, signal, onText })  → promise of a Reply (lib/reply.mjs): greedy, past the end of text. Cancelled by
//                                                      the signal, it resolves at once with what has come
//   chat(messages, { maxTokens, tools })             → promise of { times, tokens, promptTokens }: when its pieces came, ms; greedy, past the
//                                                      end of text. With tools it is a call of one, by the model's chat template
//   drain(prompt, { maxTokens })                     → the same for the plainest reader there is; in-process contenders only
//   stall(prompts, { maxTokens })                    → promise of { generated(others), end() }: readers that stop reading
//   memory()                                         → promise of the bytes resident in the engine's process
//   cachedBytes()                                    what of it is a prompt cache; only those that can say
//   startedAt                                        when that process was started, ms of performance.now()
//   model, load(name)                                zStream's own: its model, and what its package exports under a name
//   inProcess                                        whether the engine shares JavaScript's process
//   close()
//
// Raw llama.cpp measures itself: a row calls contenders/raw.mjs instead (its `raw` function).
import { resolve } from "node:path";
import { buildPortable, buildTools, installPeers, level, levelFolder, withLargePages } from "./peers.mjs";

const server = { module: "llama-server.mjs", prepare: buildTools };

/** Those that a row compares where a server tuned for short steps differs in nothing, or measures nothing new. */
export const untuned = ["zstream", "node-llama-cpp", "llama-server"];

export const contenders = {
  zstream: { title: "zStream", module: "zstream.mjs", ...(level && { prepare: buildPortable, options: { folder: levelFolder } }) },
  ...earlier(process.env.ZSE_BENCH_BEFORE),
  ...isolated(process.env.ZSE_BENCH_ISOLATED),
  // Its binary takes the best that the processor has, and nothing holds it to less.
  ...(level
    ? {}
    : { "node-llama-cpp": { title: "node-llama-cpp", module: "node-llama-cpp.mjs", prepare: installPeers, environment: withLargePages } }),
  "llama-server": { title: "llama-server", ...server },
  "llama-server-tuned": { title: "llama-server -b 64 -ub 64", ...server, options: { args: ["-b", 64, "-ub", 64] } },
  raw: { title: "raw llama.cpp", prepare: buildTools },
};

/** Another build of zStream, in a folder of its own, as one more contender: measured wherever zStream is. */
function earlier(folder) {
  return folder
    ? { before: { title: "zStream before", module: "zstream.mjs", as: "zstream", options: { folder: resolve(folder), earlier: true } } }
    : {};
}

/** zStream with its engine in a process of its own ("1"), or one that streams survive ("recover"). */
function isolated(how) {
  if (!how) return {};
  const isolate = how === "recover" ? { recover: true } : true;
  return { isolated: { title: "zStream, isolated", module: "zstream.mjs", as: "zstream", options: { isolate } } };
}

/** Whether a list that a row or a figure gives names this contender; an earlier build goes by zStream's name. */
export function isNamed(list, name) {
  return list.includes(contenders[name]?.as ?? name);
}
