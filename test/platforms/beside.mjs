// Two addons in one process, each with a llama.cpp and a ggml of its own: both stream the demo model in turns, and each gives what it gives alone.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { getLlama, LlamaCompletion } from "node-llama-cpp";
import { ZSE } from "zstream";

const prompt = "Once upon a time";
const model = new ZSE(undefined, { maxStreams: 1 });
const ours = async () => {
  let text = "";
  for await (const piece of model.completionStream(prompt, { maxTokens: 24, temperature: 0 })) text += piece;
  return text;
};
const alone = await ours();

const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });
const demo = join(dirname(createRequire(import.meta.url).resolve("zstream/package.json")), "models", "demo", "demo.gguf");
const other = await llama.loadModel({ modelPath: demo });
const context = await other.createContext({ contextSize: 256 });
const theirs = () =>
  new LlamaCompletion({ contextSequence: context.getSequence() }).generateCompletion(prompt, { maxTokens: 24, temperature: 0 });

const [first, second] = await Promise.all([ours(), theirs()]);
if (first !== alone || (await ours()) !== alone) throw new Error(`ours changed beside another ggml: ${alone} | ${first}`);
if (second.length < 10) throw new Error(`the other addon gave nothing: ${second}`);
console.log("ok both stream");
await context.dispose();
await model.close();
console.log("done");
process.exit(0);
