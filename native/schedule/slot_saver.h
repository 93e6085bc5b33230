// Owns the image that is being made of a slot, one at a time: of what an ended stream left there, for RAM and disk, or of a parked
// stream's slot that will be lent. While streams flow, what takes long is copied in pieces between their steps. Decode thread only.
#pragma once

#include <memory>
#include <optional>

#include "core/ids.h"
#include "kv/kv_slots.h"
#include "kv/prefix_cache.h"

namespace zse {

class SlotSaver {
 public:
  /** `copied_at_once`: bytes of an image that is made when it is needed, whoever flows. */
  SlotSaver(KvSlots& slots, PrefixCache& cache, size_t copied_at_once);

  bool under_way() const { return saving_.has_value(); }
  bool is_quick(SlotId slot) const { return slots_.image_bytes(slot) <= copied_at_once_; }

  /**
   * Whether what a free slot holds may be lost now. It is kept before, where that adds anything: at once, or, where streams flow and it
   * takes long, between their steps, and the answer is no until that is done.
   */
  bool displaced(SlotId slot, bool flowing);

  /** Begins to keep what will have to make place next, so that whoever needs it finds it kept. */
  void save_ahead();

  /** Begins to write one free slot's prefix to disk. False: there is nothing left to write. */
  bool write_one();

  /** Whose slot is lent to whom: to a stream that comes back, whose image makes place for it; or, 0, to whoever has waited longest. */
  struct Lending {
    StreamId stream = 0, returning = 0;
    size_t freed = 0;  // bytes of the returning one's image
  };
  /** Begins the image of a parked stream's slot. Nothing is under way where there is no room for it. */
  void begin_lending(SlotId slot, const Lending& lending);
  /** The same at once; null where there is no room. */
  std::shared_ptr<const SavedPrefix> image_to_lend(SlotId slot, const Lending& lending);
  /** What is under way of that; stream 0: nothing. */
  Lending lends() const { return saving_ ? saving_->lends : Lending{}; }

  /** Goes on with the copy until then, or for one piece. True when it is made, and finish() is due. */
  bool advance(Clock::time_point until) { return saving_->save.copy->advance_until(until); }

  /** Makes what is left of the copy, and puts it where it belongs. Returns a parked stream's, which has its place reserved in the cache. */
  std::shared_ptr<const SavedPrefix> finish();

  /** Gives up the image of a slot whose content changes, or is somebody's again. */
  void forget(SlotId slot);

 private:
  struct Destinations {
    bool ram = false, disk = false;
  };
  struct Saving {
    KvSlots::Save save;
    Destinations to;  // of what a stream has left, or
    Lending lends;    // the parked stream whose slot it is
  };
  Destinations destinations(SlotId slot, bool in_ram) const;
  std::optional<Saving> begin(SlotId slot, bool in_ram);
  void keep(const Saving& saving);
  std::optional<KvSlots::Save> begin_reserved(SlotId slot, const Lending& lending);

  KvSlots& slots_;
  PrefixCache& cache_;
  const size_t copied_at_once_;
  std::optional<Saving> saving_;  // of a free slot, or a parked stream's, which nothing changes meanwhile
};

}  // namespace zse
