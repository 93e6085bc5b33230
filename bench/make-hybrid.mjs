// Owns the benchmark's hybrid model: the shapes of LFM2-350M with random weights and the qwen2 vocabulary, as make-model.mjs makes its. Ten of
// its sixteen layers are short convolutions, whose state cannot be cut. About 330 MB.
import { join } from "node:path";
import { root } from "../scripts/paths.mjs";
import { embeddingsOf, float, matrixOf, number, numbers, text, vectorOf, writeModel } from "./make-model.mjs";

/** LFM2-350M, from its config.json. */
const shape = { layers: 16, attends: [2, 5, 8, 10, 12, 14], width: 1024, heads: 16, kvHeads: 8, ffn: 4608, convolved: 3 };

export const hybridPath = join(root, "bench", ".cache", "lfm2-350m-random-q4_0.gguf");

/** ChatML, which LFM2 has too. */
const template = `{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`;

/** Makes the model unless it is there. */
export async function makeHybrid(path = hybridPath) {
  const { layers, attends, width, heads, kvHeads, ffn, convolved } = shape;
  return writeModel(path, tensorsOf, {
    "general.architecture": text("lfm2"),
    "general.name": text("Random weights, shapes of LFM2-350M"),
    "tokenizer.chat_template": text(template),
    "lfm2.block_count": number(layers),
    "lfm2.context_length": number(32768),
    "lfm2.embedding_length": number(width),
    "lfm2.feed_forward_length": number(ffn),
    "lfm2.attention.head_count": number(heads),
    "lfm2.attention.head_count_kv": numbers(Array.from({ length: layers }, (_, layer) => (attends.includes(layer) ? kvHeads : 0))),
    "lfm2.attention.layer_norm_rms_epsilon": float(1e-5),
    "lfm2.rope.freq_base": float(1e6),
    "lfm2.shortconv.l_cache": number(convolved),
  });
}

function tensorsOf(texts) {
  const { layers, attends, width, heads, kvHeads, ffn, convolved } = shape;
  const head = width / heads;
  const residual = 1 / Math.sqrt(2 * layers);
  const tensors = [embeddingsOf(texts, width), vectorOf("token_embd_norm.weight", width, 1, 0.05)];
  for (let layer = 0; layer < layers; layer++) {
    const name = (part) => `blk.${layer}.${part}.weight`;
    tensors.push(vectorOf(name("attn_norm"), width, 1, 0.05));
    if (attends.includes(layer)) {
      tensors.push(
        matrixOf(name("attn_q"), width, width),
        matrixOf(name("attn_k"), width, head * kvHeads),
        matrixOf(name("attn_v"), width, head * kvHeads),
        matrixOf(name("attn_output"), width, width, residual),
        vectorOf(name("attn_q_norm"), head, 1, 0.05),
        vectorOf(name("attn_k_norm"), head, 1, 0.05),
      );
    } else {
      tensors.push(
        vectorOf(name("shortconv.conv"), [convolved, width], 0, 0.6),
        matrixOf(name("shortconv.in_proj"), width, 3 * width),
        matrixOf(name("shortconv.out_proj"), width, width, residual),
      );
    }
    tensors.push(
      vectorOf(name("ffn_norm"), width, 1, 0.05),
      matrixOf(name("ffn_gate"), width, ffn),
      matrixOf(name("ffn_up"), width, ffn),
      matrixOf(name("ffn_down"), ffn, width, residual),
    );
  }
  return tensors;
}
