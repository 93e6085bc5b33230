// Owns reading a model's own distribution off its logits: the log-probability of a token, and the likeliest tokens. Pure; decode thread.
#pragma once

#include <vector>

#include "core/ids.h"

namespace zse {

class Distribution {
 public:
  struct Entry {
    Token token;
    float logit;
  };

  /** One pass over the logits, of which none may be NaN. `top`: how many of the likeliest to find. */
  void read(const float* logits, int size, int top);

  /** Of a token with this logit: its natural logarithm, 0 at most. */
  float logprob(float logit) const { return static_cast<float>(logit - log_sum_); }

  /** The likeliest first, the lower id among equals; none that cannot come at all. */
  const std::vector<Entry>& top() const { return top_; }

 private:
  void find_top(const float* logits, int from, int to, size_t top);

  double log_sum_ = 0;
  std::vector<Entry> top_;
};

}  // namespace zse
