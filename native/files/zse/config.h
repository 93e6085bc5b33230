// Owns what a .zse file says about its model, the same for both generations: generation 2's CONFIG section, generation 1's
// JSON header and the Hugging Face configuration inside it. Plain data; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace zse {

/** The Hugging Face `rope_scaling` dictionary; a key that is not there is not set. */
struct RopeScaling {
  std::string type;  // "linear", "yarn", "llama3", "longrope", "su", "dynamic", "default"
  std::optional<double> factor, low_freq_factor, high_freq_factor, original_max_position_embeddings;
  std::optional<double> attention_factor, beta_fast, beta_slow, mscale,
      mscale_all_dim;            // yarn's; longrope has the first, too
  std::optional<bool> truncate;  // yarn's
  std::vector<double> long_factor, short_factor;
};

/** Validated: every count is positive and within the limits of the format's description, heads divide. */
struct ModelConfig {
  std::string
      arch;  // as written: "llama", "mistral", "qwen2", "phi3", "gemma2" in generation 2; told from HF names in generation 1
  int64_t num_layers = 32;
  int64_t num_heads = 32;
  int64_t num_kv_heads = 32;
  int64_t head_dim = 128;  // corrected from the shape of q_proj where the file says otherwise
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 11008;
  int64_t vocab_size = 32000;  // rows of embed_tokens
  int64_t max_seq_len = 4096;
  double rope_theta = 10000.0;
  double rms_norm_eps = 1e-5;
  std::optional<RopeScaling> rope_scaling;
  std::optional<int64_t> sliding_window;
  bool tie_word_embeddings = false;
  std::optional<double> attn_logit_softcapping, final_logit_softcapping;

  // What generation 1 has of the Hugging Face configuration, and generation 2 loses.
  std::optional<int64_t> original_max_position_embeddings;  // phi3: beside rope_scaling
  std::optional<double> partial_rotary_factor;              // phi3: the rotated part of a head
  std::optional<double> query_pre_attn_scalar;              // gemma2
  std::string activation;                                   // "silu", "gelu_pytorch_tanh", ...; or ""

  /**
   * What generation 2 has no place for, and zStream's own converter writes all the same, under a key that others ignore: GGUF keys
   * (kKeptKeys of gguf_plan.cpp) with their texts and flags.
   */
  std::vector<std::pair<std::string, std::variant<std::string, bool>>> gguf_metadata;

  /** What the file says of its quantization. An intention, not the bytes: only a tensor's coding is to be believed. */
  struct Quant {
    int64_t method = 1;  // 0 none, 1 INT4 asymmetric, 2 INT8 symmetric
    int64_t bits = 4;
    int64_t group_size = 128;
    std::optional<bool> tiled_weights;  // true in every file that the known writer made, whatever the layout
  } quant;
};

}  // namespace zse
