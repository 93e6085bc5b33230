// Owns what a sequence's slot begins with: the longest part of its tokens that is still there, from wherever it is. Decode thread only.
//
// Where a prefix can come from, and what it costs:
//   a free slot         nothing: the slot is taken over and cut where the texts part
//   a stream's slot     a copy of the slot
//   RAM                 a copy
//   disk                a read on the file thread, then a copy; the stream waits for it in the queue
//   a stream that is computing it now       waiting for it
//
// Where parts of a prompt may be taken over from other places (PromptCacheOptions::moved), a free slot or an image has them; they are set aside in
// the KV cache until what stands before them is computed.
//
// A copy of a long prompt takes longer than a step may. So images are copied in pieces between the steps: out of the slot that will be needed
// next (slot_saver), and into a slot before its stream's first step.
#pragma once

#include "core/ids.h"
#include "core/stats.h"
#include "kv/kv_slots.h"
#include "kv/prefix_cache.h"
#include "prefix_sources.h"
#include "sequence.h"
#include "sequences.h"
#include "slot_saver.h"

namespace zse {

class SlotFiller {
 public:
  using Source = PrefixSources::Source;

  SlotFiller(KvSlots& slots, PrefixCache& cache, PrefixSources& sources, SlotSaver& saver, EngineStats& stats)
      : slots_(slots), cache_(cache), sources_(sources), saver_(saver), stats_(stats) {}

  /** The free slot that a source's stream gets. */
  struct Place {
    SlotId slot;
    bool in_place;   // it holds the source
    bool displaces;  // it holds something else that may be worth keeping
  };
  Place choose_place(const Source& source) const;
  /** The free slot that still holds all that the sequence had computed; -1 when somebody has needed it meanwhile. */
  SlotId own_slot(const Sequence& sequence) const;

  /** Gives a sequence its slot, and the source's prefix into it, or begins to copy that. */
  void begin(const Place& place, const Source& source, Sequence& sequence, Sequences& sequences);
  /** Puts a stream whose reader is back into a free slot: as it was, or to be computed again. */
  void settle(Sequence& sequence, SlotId slot, Sequences& sequences);
  /** The copy into its slot has come to its end. */
  void loaded(Sequence& sequence, Sequences& sequences);

 private:
  void claim(SlotId slot, Sequence& sequence);
  void fill(const Place& place, const Source& source, int wanted, Sequence& sequence);
  bool keep(SlotId slot, int tokens, const MovedChunks& moved);
  void begins_with(Sequence& sequence, int tokens, int wanted);
  /** Its image cannot be used. */
  void lost(Sequence& sequence);

  KvSlots& slots_;
  PrefixCache& cache_;
  PrefixSources& sources_;
  SlotSaver& saver_;
  EngineStats& stats_;
};

}  // namespace zse
