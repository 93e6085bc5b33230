// Owns what a token's log-probability is on its way to a reader: made beside the token, kept until the item that the token is in goes out,
// and moved with it. Belongs to whichever thread has it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ids.h"

namespace zse {

struct TokenLogprob {
  Token token = -1;
  std::string bytes;  // in the text; none for a control token
  std::string name;   // of a control token
  float logprob = 0;  // natural logarithm; of the model's own distribution, before penalties, biases and temperature
};

struct TokenLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // the likeliest tokens, the likeliest first
};

/** Of the tokens that one item took, in order; null where nobody asked. */
using ItemLogprobs = std::unique_ptr<const std::vector<TokenLogprobs>>;

/** Those of tokens whose items are still to come, one for each token that a reply stage is given. Moved with the stage. */
class LogprobQueue {
 public:
  void push(TokenLogprobs logprobs) { waiting_.push_back(std::move(logprobs)); }

  /** The next so many; fewer where an item takes a credit for no token of its own. */
  ItemLogprobs take(int tokens) {
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), static_cast<size_t>(tokens)));
    auto taken = std::make_unique<std::vector<TokenLogprobs>>(std::make_move_iterator(waiting_.begin()),
                                                              std::make_move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
    return taken;
  }

 private:
  std::deque<TokenLogprobs> waiting_;
};

}  // namespace zse
