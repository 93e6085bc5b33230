// Owns finding the greatest of a vocabulary's logits, which every drawn token needs. Pure; any thread.
#pragma once

#include <cstddef>
#include <vector>

#include "llama.h"

namespace zse {

/** The likelier of two first, the lower id among equals. An object and no function: what sorts by it has its code inside. */
inline constexpr auto likelier = [](const llama_token_data& a, const llama_token_data& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
};

/**
 * Leaves the `most` likeliest tokens in `best`, in no order; fewer where the others are -infinity, which cannot come. False, and `best` is worth nothing,
 * where one of the logits is NaN.
 */
bool find_likeliest(const float* logits, int size, size_t most, std::vector<llama_token_data>& best);

}  // namespace zse
