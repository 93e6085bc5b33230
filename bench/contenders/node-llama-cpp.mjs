// Owns node-llama-cpp as a contender, in the measuring process: its prebuilt CPU binary, installed under bench/peers and nowhere else.
// `sequence.evaluate()` is its lowest and quickest way to tokens; a piece of text is detokenized from each, since text is what
// all contenders are asked for.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { residentBytes } from "../lib/memory.mjs";
import { Arrivals } from "../lib/reply.mjs";
import { peersDir } from "./peers.mjs";

/** Opens the model as bench/contenders/index.mjs says. */
export async function open({ model: path, threads, contextSize, maxStreams, startedAt }) {
  const entry = createRequire(`${peersDir}/`).resolve("node-llama-cpp");
  const { getLlama } = await import(pathToFileURL(entry).href);
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    logLevel: "error",
    progressLogs: false,
    maxThreads: threads,
  });
  const model = await llama.loadModel({ modelPath: path });
  const context = await model.createContext({ sequences: maxStreams, contextSize, threads });
  const idle = Array.from({ length: maxStreams }, () => context.getSequence());

  /** The idle sequence that holds most of this prompt already: what an application with this library has to do by itself. */
  function take(tokens) {
    if (idle.length === 0) throw new Error(`all ${maxStreams} sequences are taken`);
    const known = idle.map((sequence) => sequence.compareContextTokens(tokens).firstDifferentIndex);
    return idle.splice(known.indexOf(Math.max(...known)), 1)[0];
  }

  async function start(prompt) {
    const tokens = model.tokenize(prompt);
    const sequence = take(tokens);
    await sequence.adaptStateToTokens(tokens, false);
    const cachedTokens = Math.min(sequence.nextTokenIndex, tokens.length - 1);
    if (sequence.nextTokenIndex > cachedTokens)
      await sequence.eraseContextTokenRanges([{ start: cachedTokens, end: sequence.nextTokenIndex }]);
    const iterator = sequence.evaluate(tokens.slice(cachedTokens), { temperature: 0, yieldEogToken: true });
    return { sequence, iterator, promptTokens: tokens.length, cachedTokens };
  }

  return {
    startedAt,
    inProcess: true,
    tokenize: async (text) => model.tokenize(text),

    async generate(prompt, { maxTokens, signal, onText }) {
      const arrivals = new Arrivals(onText);
      const { sequence, iterator, promptTokens, cachedTokens } = await start(prompt);
      const text = textOf(model);
      let tokens = 0;
      // There is no way to abort an evaluation: leaving the loop at the next token is all a caller can do.
      const finished = (async () => {
        for await (const token of iterator) {
          if (signal?.aborted) break;
          arrivals.add(text(token));
          if (++tokens === maxTokens) break;
        }
        idle.push(sequence);
      })();
      const left = new Promise((resolve) => signal?.addEventListener("abort", resolve, { once: true }));
      await Promise.race([finished, left]);
      finished.catch(() => {}); // one that is left behind fails when the context is closed
      return arrivals.end({ tokens, promptTokens, cachedTokens });
    },

    async drain(prompt, { maxTokens }) {
      const { sequence, iterator } = await start(prompt);
      const text = textOf(model);
      let length = 0;
      let tokens = 0;
      for await (const token of iterator) {
        length += text(token).length;
        if (++tokens === maxTokens) break;
      }
      idle.push(sequence);
      return length;
    },

    /** Readers that take one token each and then nothing. */
    async stall(prompts) {
      const readers = await Promise.all(prompts.map(start));
      const made = () => readers.reduce((sum, { sequence }) => sum + sequence.tokenMeter.usedOutputTokens, 0);
      const before = made();
      await Promise.all(readers.map(({ iterator }) => iterator.next()));
      return {
        generated: async () => made() - before,
        async end() {
          for (const { iterator, sequence } of readers) {
            await iterator.return();
            idle.push(sequence);
          }
        },
      };
    },

    memory: async () => residentBytes(),
    close: () => llama.dispose(),
  };
}

/** Token → its text, held back while it ends within a character. */
function textOf(model) {
  let pending = [];
  return (token) => {
    pending.push(token);
    const text = model.detokenize(pending);
    if (text.endsWith("\ufffd") && pending.length < 4) return "";
    pending = [];
    return text;
  };
}
