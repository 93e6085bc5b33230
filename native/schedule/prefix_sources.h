// Owns the search for the longest part of a sequence's tokens that is there already: in a slot, in RAM, on disk, or soon, since another stream
// is computing it. Decode thread only.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/events.h"
#include "core/ids.h"
#include "core/moved.h"
#include "core/prompt.h"
#include "kv/kv_slots.h"
#include "kv/prefix_cache.h"
#include "kv/prefix_memory.h"
#include "sequences.h"

namespace zse {

class PrefixSources {
 public:
  struct Source {
    int tokens = 0;
    SlotId slot = -1;                           // in the KV cache, or
    std::shared_ptr<const SavedPrefix> prefix;  // outside
    MovedChunks moved;                          // of what it holds behind these tokens, at other places of the prompt
  };

  PrefixSources(const KvSlots& slots, PrefixCache& cache) : slots_(slots), cache_(cache) {}

  /** The longest that can be used now. */
  Source find(const Sequence& sequence);
  /** Whether another stream is computing most of it now: then waiting for that is shorter than computing it a second time. */
  bool computed_soon(const Sequence& sequence, const Sequences& sequences, int have) const;
  /** Whether more than is at hand is on disk; it is being read then. Tried once for each stream, or each time that its slot was lent. */
  bool on_disk(Sequence& sequence, int have);
  /** Where the known part of its prompt ends, of which `reused` tokens are taken over now, and why. */
  PrefixBreak explain(const Sequence& sequence, int reused) const;
  /** What a slot held when its stream ended: it may be gone when somebody asks for it. */
  void remember(const Prompt& content) { memory_.remember(content); }
  /** What was read for a stream stays in memory until it has a slot, whatever RAM has to let go of. */
  void take_fetched(const Sequences& sequences);
  /** When take_fetched() should be called again, whether or not the disk has answered. */
  std::optional<Clock::time_point> next_deadline(const Sequences& sequences) const;

 private:
  const Prompt& sought(const Sequence& sequence) const;
  void look_for_moved(const Sequence& sequence, Source& best) const;
  MovedChunks moved_in(const Sequence& sequence, const Prompt& held, int held_from, int kept) const;

  const KvSlots& slots_;
  PrefixCache& cache_;
  PrefixMemory memory_;
  std::vector<StreamId> fetching_;  // who waits for a file
};

}  // namespace zse
