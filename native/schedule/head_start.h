// Owns the head start of an engine that is opened again, or that is given a prefix: what was used last is read from disk, and that or what is given
// is copied into a slot that nobody wants, before anybody asks. So the first token waits neither for the disk nor for memory that is touched the
// first time. Decode thread only.
#pragma once

#include <memory>
#include <optional>

#include "core/decoder.h"
#include "core/ids.h"
#include "core/prompt.h"
#include "kv/kv_slots.h"
#include "kv/prefix_cache.h"

namespace zse {

class HeadStart {
 public:
  /** Begins to read, where there is something that half of RAM has room for. */
  HeadStart(KvSlots& slots, PrefixCache& cache);

  /** Begins again with what is in RAM now, unless something is under way. */
  void offer(const Prompt& content);

  /** Begins the copy, once what it is of is in RAM, where a slot is empty. */
  void look();
  /** A slot is being filled: it is nobody's, and not free. */
  bool under_way() const { return copy_ != nullptr; }
  /** Goes on until then, or for one piece. */
  void advance(Clock::time_point until);
  /** Somebody wants the slot, or a copy of the same of their own. It is not begun again. */
  void give_up();
  bool copies(const std::shared_ptr<const SavedPrefix>& prefix) const { return under_way() && prefix == prefix_; }

 private:
  bool is_in_a_slot(const Prompt& content) const;

  KvSlots& slots_;
  PrefixCache& cache_;
  std::optional<Prompt> wanted_;      // what is of this content, once it is in RAM
  std::optional<PrefixFileId> file_;  // that is read for it
  SlotId slot_ = -1;
  std::shared_ptr<const SavedPrefix> prefix_;
  std::unique_ptr<SlotCopy> copy_;
};

}  // namespace zse
