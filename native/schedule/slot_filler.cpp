#include "slot_filler.h"

#include <utility>

#include "base/assert.h"

namespace zse {

namespace {

// Taking over a slot costs nothing, but a few tokens that all prompts begin with are no reason to choose one.
constexpr int kWorthTakingOver = 8;

}  // namespace

SlotFiller::Place SlotFiller::choose_place(const Source& source) const {
  const bool in_free_slot = source.slot >= 0 && slots_[source.slot].owner == 0;
  const int taken = source.tokens + tokens_of(source.moved);
  if (in_free_slot && taken >= kWorthTakingOver) {
    const int lost = static_cast<int>(slots_[source.slot].content.size()) - taken;
    if (slots_.worth_taking(source.slot, taken)) return {source.slot, true, lost >= kWorthKeeping};
  }
  return {slots_.least_valuable(source.tokens >= kWorthKeeping ? source.slot : -1), false, true};
}

void SlotFiller::begin(const Place& place, const Source& source, Sequence& sequence, Sequences& sequences) {
  // What is moved comes out of the slot itself, or of an image.
  const bool moves = !source.moved.empty() && (place.in_place || source.prefix);
  const int wanted = place.in_place || moves || source.tokens >= kWorthKeeping ? source.tokens : 0;
  if (sequence.again.empty()) sequence.prefix = sources_.explain(sequence, wanted);
  sequence.chunks.reset();
  claim(place.slot, sequence);
  sequences.begin_prefill(sequence);
  fill(place, source, wanted, sequence);
}

void SlotFiller::claim(SlotId slot, Sequence& sequence) {
  ZSE_ASSERT(sequence.slot < 0, "a sequence has one slot at most");
  saver_.forget(slot);  // it goes on from here, and is kept when it is done again
  slots_.take(slot, sequence.id());
  sequence.slot = slot;
  sequence.found.reset();
}

/** Puts the source's prefix into the sequence's slot, or begins to. `wanted`: tokens of it; 0: it is not worth a copy. */
void SlotFiller::fill(const Place& place, const Source& source, int wanted, Sequence& sequence) {
  const SlotId slot = place.slot;
  bool filled = false;
  if (place.in_place) {
    filled = keep(slot, wanted, source.moved);
  } else if ((wanted > 0 || !source.moved.empty()) && source.prefix) {
    if (auto copy = slots_.begin_load(slot, *source.prefix)) {
      sequence.loading = Sequence::Loading{source.prefix, std::move(copy), wanted, source.moved};
      return;
    }
    cache_.reject(*source.prefix);
  } else if (wanted > 0) {
    filled = slots_.copy(source.slot, slot, wanted);
  }
  if (!filled) slots_.clear(slot);
  begins_with(sequence, filled ? wanted : 0, wanted);
  // It is there, but a copy of a slot may have let go of what the slot itself still has (a sliding window): nothing was lost.
  const bool is_there = !filled && wanted > 0 && !source.prefix;
  if (is_there && sequence.again.empty() && sequence.prefix) sequence.prefix->reason = PrefixEnd::kCoarse;
}

/** Of what a slot holds. */
bool SlotFiller::keep(SlotId slot, int tokens, const MovedChunks& moved) {
  if (moved.empty()) return slots_.cut(slot, tokens);
  slots_.set_aside(slot, tokens, moved);
  return true;
}

void SlotFiller::begins_with(Sequence& sequence, int tokens, int wanted) {
  sequence.in_cache = tokens;
  if (!sequence.again.empty()) return;  // what it took over at its first time is what counts
  sequence.taken_over = tokens;
  if (tokens < wanted && sequence.prefix) sequence.prefix->reason = PrefixEnd::kLost;
  stats_.cached_tokens += tokens;
}

void SlotFiller::loaded(Sequence& sequence, Sequences& sequences) {
  const Sequence::Loading loading = *std::exchange(sequence.loading, std::nullopt);
  if (!loading.copy->sound()) {
    slots_.clear(sequence.slot);
    if (!sequence.spilled) {
      cache_.reject(*loading.prefix);
      begins_with(sequence, 0, loading.wanted);  // one that is computed again had more once
      return;
    }
    lost(sequence);
    sequences.begin_prefill(sequence);
    begins_with(sequence, 0, loading.wanted);
    stats_.recomputed++;
    return;
  }
  slots_.end_load(sequence.slot, *loading.prefix);
  if (sequence.spilled) {
    cache_.release(sequence.spilled->bytes());
    sequence.spilled.reset();
  } else {
    const bool cut = keep(sequence.slot, loading.wanted, loading.moved);
    begins_with(sequence, cut ? loading.wanted : 0, loading.wanted);
  }
}

SlotId SlotFiller::own_slot(const Sequence& sequence) const {
  const Prompt& content = sequence.spilled ? sequence.spilled->content : sequence.again;
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    // How many were of a prompt: in deterministic mode what another stream has computed in other pieces is not the same.
    if (slots_[slot].owner == 0 && slots_[slot].content == content &&
        slots_[slot].prompt_tokens == sequence.lent_prompt_tokens) {
      return slot;
    }
  }
  return -1;
}

void SlotFiller::settle(Sequence& sequence, SlotId slot, Sequences& sequences) {
  if (own_slot(sequence) == slot) {
    claim(slot, sequence);
    sequence.in_cache = static_cast<int>(slots_[slot].content.size());
    if (sequence.spilled) cache_.release(sequence.spilled->bytes());
    sequence.spilled.reset();
    sequence.again = {};
    sequences.begin_decode(sequence);
    return;
  }
  if (sequence.spilled) {
    if (std::unique_ptr<SlotCopy> copy = slots_.begin_load(slot, *sequence.spilled)) {
      claim(slot, sequence);
      sequence.loading =
          Sequence::Loading{sequence.spilled, std::move(copy), static_cast<int>(sequence.spilled->content.size())};
      sequences.begin_decode(sequence);
      return;
    }
    lost(sequence);
  }
  const Source source = sources_.find(sequence);
  begin({slot, source.slot == slot, false}, source, sequence, sequences);
  stats_.recomputed++;
}

void SlotFiller::lost(Sequence& sequence) {
  sequence.again = sequence.spilled->content;
  cache_.release(sequence.spilled->bytes());
  sequence.spilled.reset();
}

}  // namespace zse
