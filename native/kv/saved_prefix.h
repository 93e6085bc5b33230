// Owns what a prefix is outside the KV cache: its tokens, and an image of the slot that held them. Shared, and never changed once
// made: the decode thread and the cache's file thread may hold the same one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/decoder.h"
#include "core/ids.h"

namespace zse {

/** Tokens that two texts have in common from their beginning. */
inline size_t common_prefix(const std::vector<Token>& a, const std::vector<Token>& b) {
  const size_t shorter = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shorter), b.begin()).first - a.begin();
}

struct SavedPrefix {
  std::vector<Token> tokens;
  int prompt_tokens = 0;  // of those, computed as pieces of a prompt; the rest one by one, as a reply
  std::shared_ptr<const SlotImage> image;

  size_t bytes() const { return image->size() + tokens.size() * sizeof(Token); }
};

/** How much of what was computed for one stream may be used for another. */
struct ReuseRule {
  bool can_cut = true;  // false: all of it or nothing (recurrent memory)
  int grain = 1;        // deterministic mode: whole pieces of a prompt only, since another cut rounds differently
  /** Tokens. A longer image, of an engine with a larger context, does not fit into a slot to be cut there. */
  size_t slot_size = SIZE_MAX;

  /** Tokens of `held` that can be used for `prompt`, whose last token is always computed: its logits begin the reply. */
  int usable(const std::vector<Token>& held, int held_prompt_tokens, const std::vector<Token>& prompt) const {
    if (prompt.empty() || held.empty() || held[0] != prompt[0]) return 0;
    const size_t common = std::min(common_prefix(held, prompt), prompt.size() - 1);
    if (!can_cut && common != held.size()) return 0;
    if (grain == 1) return static_cast<int>(common);
    return std::min(static_cast<int>(common), held_prompt_tokens) / grain * grain;
  }
};

}  // namespace zse
