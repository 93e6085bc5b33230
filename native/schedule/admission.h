// Owns who gets a slot of the KV cache, and when. Lends the slots of parked streams when others wait. What a stream's slot begins with is
// slot_filler's. Decode thread only.
#pragma once

#include <climits>
#include <memory>
#include <optional>

#include "cache_desk.h"
#include "core/ids.h"
#include "core/stats.h"
#include "head_start.h"
#include "kv/kv_slots.h"
#include "kv/prefix_cache.h"
#include "prefix_sources.h"
#include "sequence.h"
#include "sequences.h"
#include "slot_filler.h"
#include "slot_saver.h"

namespace zse {

class Admission {
 public:
  /** `lend_after`: a reader that pauses for less than this keeps its slot, even if others wait. `copied_at_once`: see SlotSaver. */
  Admission(Decoder& decoder, PrefixCache cache, EngineStats& stats, Clock::duration lend_after, size_t copied_at_once);

  /** What files and streams have come to. Before what is decided of them. */
  void look(const Sequences& sequences);

  /**
   * Gives slots to those that wait, new streams and spilled ones whose readers are back: whoever has waited longest goes first. Where RAM has
   * no room for one image more, only who comes back can have the slot of one that pauses: their images change places.
   */
  void admit(Sequences& sequences, Clock::time_point now);

  /** When admit() should be called again because a parked stream's slot may be lent then, or the disk has not answered for too long. */
  std::optional<Clock::time_point> next_deadline(const Sequences& sequences) const;

  /** Goes on with the copies that are under way, for `time`, or for one piece where that is longer. False: there were none. */
  bool copy_some(Sequences& sequences, Clock::duration time);

  /** A step has computed `count` tokens for this sequence. */
  void computed(const Sequence& sequence, const Token* tokens, int count);

  /**
   * Tokens of its prompt that the next step may compute at most: a place where its slot can be cut later is kept at the end of that. INT_MAX: as
   * many as there are.
   */
  int until_checkpoint(const Sequence& sequence) const;
  /** Keeps that place, if the step before has ended at one, or if a reply before has. */
  void keep_checkpoint(const Sequence& sequence);

  /** What was moved and has come to its place is in the slot now. Before a step. */
  void put_back(Sequence& sequence);
  /** Tokens of its prompt until the next such place; INT_MAX: there is none. */
  int until_moved(const Sequence& sequence) const {
    return sequence.prefilling() ? slots_.until_moved(sequence.slot) : INT_MAX;
  }

  /** What a step has computed of drafts that were not kept: the slot holds no more than computed() was told. */
  bool take_back(SlotId slot) { return slots_.take_back(slot); }

  /** The stream has ended. `sound`: what its slot holds is known. */
  void leave(Sequence& sequence, bool sound);

  /** Begins to write one ended stream's prefix to disk, when nobody is waiting for a step. False: there is nothing left to write. */
  bool write_one() { return saver_.write_one(); }

  /** For asserts: whether the slots know the same of a sequence that can be computed as it knows itself. */
  bool agrees(const Sequence& sequence) const {
    return slots_.agree(sequence.slot, sequence.id(), sequence.in_cache, sequence.prompt);
  }

  /** What callers do with the prefixes that are kept. */
  CacheDesk& desk() { return desk_; }
  /** Streams are decoding: what takes long must be done in pieces. */
  bool flowing() const { return flowing_; }

  /** What was computed for one stream is of use to a later one. */
  bool keeps() const { return cache_.enabled(); }
  /** The one that has the head start is free for whoever wants it. */
  int free_slots() const { return slots_.free_count() + (head_start_.under_way() ? 1 : 0); }
  /** Nobody will come any more. */
  void close() { head_start_.give_up(); }
  const KvSlots& slots() const { return slots_; }

 private:
  enum class Outcome { kAdmitted, kWaits, kNoSlot };
  using Source = PrefixSources::Source;

  Outcome start(Sequence& sequence, Sequences& sequences, int waiting, Clock::time_point now);
  bool has_place(const Sequences& sequences, int waiting, Clock::time_point now);

  Outcome bring_back(Sequence& sequence, Sequences& sequences, int waiting, Clock::time_point now);
  SlotId exchange(Sequence& returning, Sequences& sequences, Clock::time_point now);

  bool make_free(Sequences& sequences, Clock::time_point now);
  Sequence* longest_parked(const Sequences& sequences, Clock::time_point now);
  bool lendable(const Sequence& parked, Clock::time_point now) const { return now - parked.parked_at() >= lend_after_; }
  void end_saving(Sequences& sequences);
  bool make_room_for_checkpoint(SlotId slot, size_t bytes);
  void trim_checkpoints();
  void lend(Sequence& sequence, Sequences& sequences, std::shared_ptr<const SavedPrefix> image);

  Decoder& decoder_;
  KvSlots slots_;
  PrefixCache cache_;
  PrefixSources sources_;
  SlotSaver saver_;
  SlotFiller filler_;
  HeadStart head_start_;
  CacheDesk desk_;
  EngineStats& stats_;
  const Clock::duration lend_after_;
  const size_t copied_at_once_;
  Clock::time_point admitted_at_;
  uint64_t least_of_parkings_ = 0;  // until one more is parked, no image of theirs is smaller than
  size_t least_image_ = 0;
  bool flowing_ = false;  // streams are decoding: what takes long must be done in pieces
};

}  // namespace zse
