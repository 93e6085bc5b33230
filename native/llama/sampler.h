// Owns how a token is drawn from logits: llama.cpp's samplers in the order that was asked for, with two exact short cuts that keep a
// large vocabulary from costing a pass of the chain. One per stream; decode thread.
//
// Each sampler is only ever given finite logits: several of llama.cpp's compute 0 × -inf or inf - inf otherwise, and then draw from
// another set than the one asked for. So banned tokens are no candidates at all, what a model gives is refused unless it is a number,
// parameters are kept within what floats can hold, and what a sampler makes infinite is no candidate for the next.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "constraint.h"
#include "core/decoder.h"
#include "core/ids.h"
#include "core/prompt.h"
#include "core/request.h"
#include "distribution.h"
#include "llama.h"
#include "sampler_parts.h"

namespace zse {

/** A bias of this much or less bans its token: OpenAI's -100. */
constexpr float kBannedBias = -100.0f;

/** Of a window of tokens where -1 is the whole context: no more than that in any case. */
inline int looked_back(int last_n, int context_size) { return last_n < 0 ? context_size : std::min(last_n, context_size); }

/** What a sampler must know of a model. */
struct SamplerModel {
  int vocabulary_size = 0;
  int context_size = 0;
  std::vector<Token> end_tokens;  // that end a reply
};

class LlamaSampler final : public TokenSampler {
 public:
  /** `parts`: of the same parameters; a sampler that is not among them is left out. */
  LlamaSampler(const SamplerModel& model, const SamplingParams& params, const Prompt& prompt, LlamaSamplerParts parts = {});

  /**
   * Draws a token from the vocabulary's logits and remembers it; nothing when one of them is not a number, or all are banned. Biases are
   * written into the logits, which nobody reads again. Throws EngineError BAD_OPTION where its constraint leaves no token. `replayed`: the token that
   * is remembered in place of the drawn one, since it was drawn from the same logits before; a token of the vocabulary.
   */
  std::optional<Token> sample(float* logits, std::optional<Token> replayed = {});

  Constraint* constraint() { return constraint_.get(); }

  /** What the model itself made of the token that was drawn last, and of the likeliest; only where the parameters ask for it. */
  const Distribution& distribution() const { return distribution_; }
  Distribution::Entry drawn() const { return drawn_; }

 private:
  /** What has to be done beside a sampler, so that it is given numbers and leaves numbers. */
  enum class Care {
    kNone,
    kDropInfinite,    // it writes -infinity in place of dropping
    kDropUnlikely,    // it takes logarithms of probabilities
    kClamp,           // it may subtract more than a float holds
    kGreatestIsZero,  // it may divide by next to nothing
    kFew,             // it compares each candidate with each other, and may put a token in that is none
  };
  struct Step {
    SamplerPtr sampler;
    Care care;
    float least;  // logit that it may leave, where that is clamped
  };

  void add(llama_sampler* sampler, Care care = Care::kNone);
  void add_penalties(const SamplerModel& model, const SamplingParams& params, const Prompt& prompt);
  void add_leaving_out(SamplerKind kind, const SamplingParams& params);
  void add_temperature(const SamplingParams& params);
  void add_choice(const SamplingParams& params, bool adaptive);

  void apply_biases(float* logits);
  std::optional<Token> draw(const float* logits);
  /** Of these alone. */
  std::optional<Token> draw(const std::vector<llama_token_data>& allowed);
  /** One of candidates_. */
  std::optional<Token> choose();
  /** One that the constraint allows. */
  std::optional<Token> draw_within(float* logits);
  void accept(Token token);
  void remember(Token token, const float* logits);

  void apply(Step& step, llama_token_data_array& array);
  void infill(llama_sampler* sampler, llama_token_data_array& array);
  std::optional<Token> greedy(const float* logits);
  bool fill_all(const float* logits);
  bool fill_top_k(const float* logits);
  bool fill_allowed(const std::vector<llama_token_data>& allowed);

  const int vocabulary_size_;
  const int top_k_;
  bool greedy_;
  std::vector<Step> steps_;  // in the order of their acting; the last one chooses, unless the choice is greedy
  bool shortcut_ = false;    // the first step keeps few of all: they are found without its pass over the vocabulary
  bool warm_ = false;        // the temperature is among the steps
  std::vector<llama_logit_bias> bias_;  // -inf: banned; in the order of tokens
  int held_ = 0;                        // tokens to be drawn before one may end the reply
  std::vector<Token> end_tokens_;       // these may not, until then
  std::vector<llama_token_data> candidates_;

  const std::unique_ptr<Constraint> constraint_;  // null: none
  std::vector<llama_token_data> likeliest_;       // of the logits at hand, for it as well; empty: not looked for

  const bool logprobs_;
  const int top_logprobs_;
  Distribution distribution_;
  std::vector<float> unbiased_;  // logits of the tokens in bias_, as the model gave them
  Distribution::Entry drawn_{-1, 0};
};

}  // namespace zse
