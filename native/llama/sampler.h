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

#include "constraint.h"
#include "core/decoder.h"
#include "core/ids.h"
#include "core/prompt.h"
#include "core/request.h"
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
  LlamaSampler(const SamplerModel& model, const SamplingParams& params, const Prompt& prompt,
               std::unique_ptr<Constraint> constraint = nullptr);
  ~LlamaSampler() override;

  /**
   * Draws a token from the vocabulary's logits and remembers it; nothing when one of them is not a number, or all are banned. Biases are
   * written into the logits, which nobody reads again. Throws EngineError BAD_OPTION where its constraint leaves no token.
   */
  std::optional<Token> sample(float* logits);

  Constraint* constraint() { return constraint_.get(); }

 private:
  std::optional<Token> draw(float* logits);
  /** One that the constraint allows. */
  std::optional<Token> draw_within(float* logits);
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
  const std::unique_ptr<Constraint> constraint_;  // null: none
  const std::vector<Token> end_tokens_;
};

}  // namespace zse
