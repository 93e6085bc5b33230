// Owns what a prefix is outside the KV cache: its tokens, an image of the slot that held them, and where it can be cut. Shared, and never
// changed once made: the decode thread and the cache's file thread may hold the same one.
#pragma once

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "core/decoder.h"
#include "core/prompt.h"

namespace zse {

/**
 * What a slot held of the memory that cannot be cut (recurrent states, the window of a sliding attention) when it had so many tokens: with it
 * the slot, or an image of it, can be cut there. The state is null where only the place is known: of a file that has not been read.
 */
struct Checkpoint {
  int tokens = 0;
  std::shared_ptr<const SlotImage> state;
};
/** The fewest tokens first. */
using Checkpoints = std::vector<Checkpoint>;

inline size_t bytes_of(const Checkpoints& checkpoints) {
  size_t bytes = 0;
  for (const Checkpoint& checkpoint : checkpoints) bytes += checkpoint.state ? checkpoint.state->size() : 0;
  return bytes;
}

struct SavedPrefix {
  Prompt content;
  int prompt_tokens = 0;  // of those, computed as pieces of a prompt; the rest one by one, as a reply
  std::shared_ptr<const SlotImage> image;
  Checkpoints checkpoints;
  /** When its stream ended; not of what was read or imported. A file has this time, however late it is written. */
  std::filesystem::file_time_type used{};

  size_t bytes() const { return image->size() + content.bytes() + bytes_of(checkpoints); }
};

/** What there is of a prefix, wherever it is. */
struct HeldPrefix {
  const Prompt& content;
  int prompt_tokens;
  const Checkpoints& checkpoints;

  HeldPrefix(const Prompt& held, int of_prompt, const Checkpoints& at)
      : content(held), prompt_tokens(of_prompt), checkpoints(at) {}
  /** Of a SavedPrefix, a slot or a file. */
  template <class Holder>
  HeldPrefix(const Holder& holder) : HeldPrefix(holder.content, holder.prompt_tokens, holder.checkpoints) {}
};

/** Places to cut that are nearer to each other than this are as good as one: so many tokens are computed in little more time than one. */
constexpr int kCheckpointsApart = 32;

/** How much of what was computed for one stream may be used for another. */
struct ReuseRule {
  bool can_cut = true;  // false: at its end and its checkpoints alone (recurrent memory)
  int grain = 1;        // deterministic mode: whole pieces of a prompt only, since another cut rounds differently
  /** Tokens. A longer image, of an engine with a larger context, does not fit into a slot to be cut there. */
  size_t slot_size = SIZE_MAX;
  /** An image of more tokens has let go of what a sliding attention does not see from its end, and is as one that cannot be cut. */
  int window = INT_MAX;

  /** An image of so many tokens can be cut without a checkpoint so that it keeps at least this many. */
  int cut_from(size_t tokens) const {
    return can_cut && tokens <= static_cast<size_t>(window) ? 0 : static_cast<int>(tokens);
  }

  /** The most tokens, `common` at most, that it can be cut to. `from`: without a checkpoint. */
  int cut_to(const HeldPrefix& held, int from, size_t common) const {
    int most = static_cast<int>(common);
    if (grain > 1) most = std::min(most, held.prompt_tokens);
    int best = most / grain * grain;
    if (best < from) best = 0;
    for (const Checkpoint& checkpoint : held.checkpoints) {
      if (checkpoint.tokens <= most && checkpoint.tokens % grain == 0) best = std::max(best, checkpoint.tokens);
    }
    return best;
  }

  /** Tokens of `held` that can be used for `prompt`, whose last token is always computed: its logits begin the reply. */
  int usable(const HeldPrefix& held, int from, const Prompt& prompt) const {
    const Prompt& content = held.content;
    if (prompt.empty() || content.empty() || content[0] != prompt[0]) return 0;
    return cut_to(held, from, std::min(content.common_prefix(prompt), prompt.size() - 1));
  }
  /** The same of an image. */
  int usable(const HeldPrefix& held, const Prompt& prompt) const {
    return usable(held, cut_from(held.content.size()), prompt);
  }

  /** Whether whoever has `longer`, an image, has no use for `held`. */
  bool covers(const HeldPrefix& longer, const HeldPrefix& held) const {
    const size_t size = held.content.size();
    if (!longer.content.starts_with(held.content)) return false;
    const int from = cut_from(longer.content.size());
    if (from == 0) return true;
    return cut_to(longer, from, size) + kCheckpointsApart > cut_to(held, cut_from(size), size);
  }
};

}  // namespace zse
