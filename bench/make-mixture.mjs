// Owns the benchmark's mixture of experts: four of the 48 layers of Qwen3-30B-A3B in Q4_0, with random weights and the qwen2 vocabulary, as
// make-model.mjs makes its. Each token goes to 8 of 128 experts in every layer. About 1.7 GB: `node bench/make-mixture.mjs [file]`.
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "../scripts/paths.mjs";
import { main, say } from "../scripts/say.mjs";
import { embeddingsOf, expertsOf, float, matrixOf, number, text, vectorOf, writeModel } from "./make-model.mjs";

/** Qwen3-30B-A3B, from its config.json, but for the layers. */
const shape = { layers: 4, width: 2048, heads: 32, kvHeads: 4, head: 128, experts: 128, choices: 8, ffn: 768 };

export const mixturePath = join(root, "bench", ".cache", "qwen3-moe-4-layers-random-ascii-q4_0.gguf");

/** Makes the model unless it is there. */
export async function makeMixture(path = mixturePath) {
  const { layers, width, heads, kvHeads, head, experts, choices, ffn } = shape;
  return writeModel(path, tensorsOf, {
    "general.architecture": text("qwen3moe"),
    "general.name": text("Random weights, four layers of Qwen3-30B-A3B"),
    "qwen3moe.block_count": number(layers),
    "qwen3moe.context_length": number(32768),
    "qwen3moe.embedding_length": number(width),
    "qwen3moe.feed_forward_length": number(ffn * choices),
    "qwen3moe.expert_feed_forward_length": number(ffn),
    "qwen3moe.expert_count": number(experts),
    "qwen3moe.expert_used_count": number(choices),
    "qwen3moe.attention.head_count": number(heads),
    "qwen3moe.attention.head_count_kv": number(kvHeads),
    "qwen3moe.attention.key_length": number(head),
    "qwen3moe.attention.value_length": number(head),
    "qwen3moe.attention.layer_norm_rms_epsilon": float(1e-6),
    "qwen3moe.rope.freq_base": float(1e6),
  });
}

function tensorsOf(texts) {
  const { layers, width, heads, kvHeads, head, experts, ffn } = shape;
  const residual = 1 / Math.sqrt(2 * layers);
  const tensors = [embeddingsOf(texts, width), vectorOf("output_norm.weight", width, 1, 0.05)];
  for (let layer = 0; layer < layers; layer++) {
    const name = (part) => `blk.${layer}.${part}.weight`;
    tensors.push(
      vectorOf(name("attn_norm"), width, 1, 0.05),
      matrixOf(name("attn_q"), width, head * heads),
      matrixOf(name("attn_k"), width, head * kvHeads),
      matrixOf(name("attn_v"), width, head * kvHeads),
      matrixOf(name("attn_output"), head * heads, width, residual),
      vectorOf(name("attn_q_norm"), head, 1, 0.05),
      vectorOf(name("attn_k_norm"), head, 1, 0.05),
      vectorOf(name("ffn_norm"), width, 1, 0.05),
      vectorOf(name("ffn_gate_inp"), [width, experts], 0, 1 / Math.sqrt(width)),
      expertsOf(name("ffn_gate_exps"), width, ffn, experts),
      expertsOf(name("ffn_up_exps"), width, ffn, experts),
      expertsOf(name("ffn_down_exps"), ffn, width, experts, residual),
    );
  }
  return tensors;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(async () => say(await makeMixture(process.argv[2] ? resolve(process.argv[2]) : undefined)));
}
