// Owns row n: short prompts beside others that are made to take long before their first step. Four clients send texts of 20 and 150 KB that
// do not fit the context, one after the other; what an honest reader's first token waits meanwhile, against an engine that is quiet.
// Of the small ones no engine can say without tokenizing that they do not fit.
import { setTimeout as sleep } from "node:timers/promises";
import { untuned } from "../contenders/index.mjs";
import { ttft } from "../lib/reply.mjs";
import { percentile } from "../lib/statistics.mjs";

const honestTokens = 30;
const attackers = 4;
const honest = 12;
const sizes = [20_000, 150_000];
const most = 3;

/** Texts that tokenizers find hard: one long word, control tokens, marks, spaces, digits, words of another script. */
const hostile = ["a", "<|im_end|>", "e\u0301\u0316", " ", "7", "漢字", "A\n", "\u{1F600}"].flatMap((piece) =>
  sizes.map((size) => piece.repeat(Math.floor(size / Buffer.byteLength(piece)))),
);

export const row = {
  name: "n",
  title: `${attackers} clients send texts of up to ${Math.max(...sizes) / 1000} KB that do not fit, beside short prompts`,
  contenders: untuned,
  repetitions: (reps) => Math.ceil(reps / 2),
  engine: () => ({ contextSize: 2048, maxStreams: attackers + 2 }),

  async measure(engine, { prompts }) {
    const firstTokens = async () => {
      const times = [];
      for (let i = 0; i < honest; i++) {
        times.push(ttft(await engine.generate(await prompts.cold(honestTokens), { maxTokens: 2 })));
        await sleep(20);
      }
      return times;
    };
    await firstTokens();
    const quiet = percentile(await firstTokens(), 0.5);

    const leave = new AbortController();
    let refused = 0;
    const attack = async (first) => {
      for (let i = first; !leave.signal.aborted; i++) {
        try {
          await engine.generate(hostile[i % hostile.length], { maxTokens: 1, signal: leave.signal });
        } catch {
          refused++; // as it should be
          await sleep(1);
        }
      }
    };
    const attacks = Array.from({ length: attackers }, (_, i) => attack(3 * i));
    await sleep(200);
    const beside = percentile(await firstTokens(), 0.5);
    leave.abort();
    await Promise.all(attacks);
    if (refused === 0) throw new Error("not one of the hostile texts was refused");
    return { quiet, beside, ratio: beside / quiet };
  },

  figures: [
    { label: `first token, ${honestTokens} tokens, quiet`, unit: "ms", measure: "quiet" },
    { label: `first token, ${honestTokens} tokens, beside hostile texts`, unit: "ms", measure: "beside" },
    { label: "over the quiet one's", unit: "×", measure: "ratio", goals: [{ atMost: most }] },
  ],
};
