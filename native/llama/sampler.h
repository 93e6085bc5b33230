// Owns how a token is drawn from logits: llama.cpp's sampler chain in its usual order, with two exact short cuts that keep a
// large vocabulary from costing a pass of the chain. One per stream; decode thread.
//
// The chain is only ever given finite logits: several of llama.cpp's samplers compute 0 × -inf or inf - inf otherwise, and then draw from
// another set than the one asked for. So banned tokens are no candidates at all, what a model gives is refused unless it is a number, and
// parameters are kept within what floats can hold.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/decoder.h"
#include "core/ids.h"
#include "core/prompt.h"
#include "core/request.h"
#include "distribution.h"
#include "llama.h"

namespace zse {

/** What a sampler must know of a model. */
struct SamplerModel {
  int vocabulary_size = 0;
  int context_size = 0;
  std::vector<Token> end_tokens;  // that end a reply
};

class LlamaSampler final : public TokenSampler {
 public:
  LlamaSampler(const SamplerModel& model, const SamplingParams& params, const Prompt& prompt);
  ~LlamaSampler() override;

  /**
   * Draws a token from the vocabulary's logits and remembers it; nothing when one of them is not a number, or all are banned. Biases are
   * written into the logits, which nobody reads again.
   */
  std::optional<Token> sample(float* logits);

  /** What the model itself made of the token that was drawn last, and of the likeliest; only where the parameters ask for it. */
  const Distribution& distribution() const { return distribution_; }
  Distribution::Entry drawn() const { return drawn_; }

 private:
  void apply_biases(float* logits);
  std::optional<Token> draw(const float* logits);
  void accept(Token token);
  void remember(Token token, const float* logits);
  std::optional<Token> greedy(const float* logits) const;
  bool fill_all(const float* logits);
  bool fill_top_k(const float* logits);
  void drop_unlikely();

  const int vocabulary_size_;
  const int top_k_;
  bool plain_;  // nothing to adjust: what is left can be found without a pass of the chain over the vocabulary
  bool greedy_;
  const bool typical_;
  const bool sigma_;
  std::vector<llama_logit_bias> bias_;  // -inf: banned
  llama_sampler* adjust_ = nullptr;     // penalties and topNSigma, on the whole vocabulary
  llama_sampler* choose_ = nullptr;     // truncation, temperature, draw
  std::vector<llama_token_data> candidates_;

  const bool logprobs_;
  const int top_logprobs_;
  Distribution distribution_;
  std::vector<float> unbiased_;  // logits of the tokens in bias_, as the model gave them
  Distribution::Entry drawn_{-1, 0};
};

}  // namespace zse
