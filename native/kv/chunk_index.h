// Owns where the pieces of one prompt are, so that what is held elsewhere can be searched for them in one pass. Made once for a stream; decode
// thread only.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/moved.h"
#include "core/prompt.h"

namespace zse {

class ChunkIndex {
 public:
  explicit ChunkIndex(const Prompt& prompt);

  /**
   * The parts of `held` behind its first `held_from` tokens that the prompt has behind its first `at_from`, the last token aside, whose logits begin
   * the reply. Parts of fewer tokens than kWorthKeeping are left out. None where another variant of the model has computed it.
   */
  MovedChunks find(const Prompt& held, size_t held_from, size_t at_from) const;

 private:
  MovedChunk longest(const Prompt& held, size_t block, size_t held_from, size_t at_from) const;

  const Prompt& prompt_;
  std::vector<std::pair<uint64_t, uint32_t>>
      blocks_;  // of each place where a block begins: what its tokens hash to, and the place; sorted
};

}  // namespace zse
