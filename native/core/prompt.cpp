#include "prompt.h"

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace zse {

size_t Prompt::common_prefix(const Prompt& other) const { return variant_ == other.variant_ ? common_tokens(other) : 0; }

size_t Prompt::common_tokens(const Prompt& other) const {
  const auto shorter = static_cast<std::ptrdiff_t>(std::min(size(), other.size()));
  const auto begin = tokens_.begin();
  return static_cast<size_t>(std::mismatch(begin, begin + shorter, other.tokens_.begin()).first - begin);
}

bool Prompt::starts_with(const Prompt& other) const {
  if (other.empty()) return true;
  return variant_ == other.variant_ && size() >= other.size() &&
         std::equal(other.tokens_.begin(), other.tokens_.end(), tokens_.begin());
}

uint64_t Prompt::hash() const { return XXH3_64bits_withSeed(tokens_.data(), bytes(), variant_); }

}  // namespace zse
