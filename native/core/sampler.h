// Owns how a token is drawn from logits: llama.cpp's sampler chain in its usual order, with two exact short cuts that keep a
// large vocabulary from costing a pass of the chain. One per stream; decode thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "decoder.h"
#include "llama.h"
#include "types.h"

namespace zse {

class Model;

class LlamaSampler final : public TokenSampler {
 public:
  LlamaSampler(const Model& model, const SamplingParams& params, const std::vector<Token>& prompt);
  ~LlamaSampler() override;

  /**
   * Draws a token from the vocabulary's logits and remembers it; nothing when the logits are not numbers. Biases are written into
   * the logits, which nobody reads again.
   */
  std::optional<Token> sample(float* logits);

 private:
  std::optional<Token> greedy(const float* logits) const;
  bool fill_all(const float* logits);
  bool fill_top_k(const float* logits);

  const int vocabulary_size_;
  const int top_k_;
  bool plain_;  // no penalties: what is left can be found without a pass of the chain over the vocabulary
  bool greedy_;
  std::vector<llama_logit_bias> bias_;
  llama_sampler* adjust_ = nullptr;  // penalties, on the whole vocabulary
  llama_sampler* choose_ = nullptr;  // truncation, temperature, draw
  std::vector<llama_token_data> candidates_;
};

}  // namespace zse
