// Owns reading a model's own distribution off its logits: the log-probability of a token, and the likeliest tokens. Pure; decode thread.
#pragma once

#include <vector>

#include "core/ids.h"
#include "llama.h"

namespace zse {

class Distribution {
 public:
  struct Entry {
    Token token;
    float logit;
  };

  /** Of the logits none may be NaN. `top`: how many of the likeliest to find. */
  void read(const float* logits, int size, int top);

  /** Of a token with this logit: its natural logarithm, 0 at most. */
  float logprob(float logit) const { return static_cast<float>(logit - log_sum_); }

  /** The likeliest first, the lower id among equals; none that cannot come at all. */
  const std::vector<Entry>& top() const { return top_; }

 private:
  double log_sum_ = 0;
  std::vector<Entry> top_;
  std::vector<llama_token_data> likeliest_;
};

}  // namespace zse
