// Owns what a prefix is outside the KV cache: its tokens, and an image of the slot that held them. Shared, and never changed once
// made: the decode thread and the cache's file thread may hold the same one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/decoder.h"
#include "core/prompt.h"

namespace zse {

struct SavedPrefix {
  Prompt content;
  int prompt_tokens = 0;  // of those, computed as pieces of a prompt; the rest one by one, as a reply
  std::shared_ptr<const SlotImage> image;

  size_t bytes() const { return image->size() + content.bytes(); }
};

/** How much of what was computed for one stream may be used for another. */
struct ReuseRule {
  bool can_cut = true;  // false: all of it or nothing (recurrent memory)
  int grain = 1;        // deterministic mode: whole pieces of a prompt only, since another cut rounds differently
  /** Tokens. A longer image, of an engine with a larger context, does not fit into a slot to be cut there. */
  size_t slot_size = SIZE_MAX;

  /** Tokens of `held` that can be used for `prompt`, whose last token is always computed: its logits begin the reply. */
  int usable(const Prompt& held, int held_prompt_tokens, const Prompt& prompt) const {
    if (prompt.empty() || held.empty() || held[0] != prompt[0]) return 0;
    const size_t common = std::min(held.common_prefix(prompt), prompt.size() - 1);
    if (!can_cut && common != held.size()) return 0;
    if (grain == 1) return static_cast<int>(common);
    return std::min(static_cast<int>(common), held_prompt_tokens) / grain * grain;
  }
};

}  // namespace zse
