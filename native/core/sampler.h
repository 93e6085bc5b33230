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

class LlamaSampler final : public TokenSampler {
 public:
  LlamaSampler(const llama_vocab* vocab, const SamplingParams& params, const std::vector<Token>& prompt, int context_size);
  ~LlamaSampler() override;

  /** Draws a token from `vocabulary_size` logits and remembers it; nothing when the logits are not numbers. */
  std::optional<Token> sample(const float* logits);

 private:
  std::optional<Token> greedy(const float* logits) const;
  bool fill_all(const float* logits);
  bool fill_top_k(const float* logits);

  const int vocabulary_size_;
  const int top_k_;
  bool plain_;  // nothing changes a logit before top-k: no bias, no penalty
  bool greedy_;
  llama_sampler* adjust_ = nullptr;  // bias and penalties, on the whole vocabulary
  llama_sampler* repeat_ = nullptr;  // inside adjust_: the one that also remembers the prompt
  llama_sampler* choose_ = nullptr;  // truncation, temperature, draw
  std::vector<llama_token_data> candidates_;
};

}  // namespace zse
