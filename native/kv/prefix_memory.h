// Owns the memory of what was once computed and may be gone: hashes of the beginnings of texts, each 64 tokens longer than the one before. It answers
// one question alone: whether a prompt could have been known further, had there been room. Bounded. Decode thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_set>

#include "core/prompt.h"

namespace zse {

class PrefixMemory {
 public:
  static constexpr size_t kGrain = 64;              // tokens
  static constexpr size_t kMost = size_t{1} << 15;  // hashes: of two million tokens

  void remember(const Prompt& content);

  /** Tokens of the longest beginning of a prompt that was remembered, to whole grains. */
  size_t longest(const Prompt& prompt) const;

 private:
  std::unordered_set<uint64_t> hashes_;
  std::deque<uint64_t> in_order_;  // the oldest first
};

}  // namespace zse
