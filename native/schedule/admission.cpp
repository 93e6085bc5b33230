#include "admission.h"

#include <algorithm>
#include <climits>
#include <utility>

namespace zse {

namespace {

bool flows(const Sequence& sequence) { return sequence.state() == SequenceState::kDecoding && !sequence.loading; }

}  // namespace

Admission::Admission(Decoder& decoder, PrefixCache cache, EngineStats& stats, Clock::duration lend_after,
                     size_t copied_at_once)
    : decoder_(decoder),
      slots_(decoder),
      cache_(std::move(cache)),
      sources_(slots_, cache_),
      saver_(slots_, cache_, copied_at_once),
      filler_(slots_, cache_, sources_, saver_, stats),
      head_start_(slots_, cache_),
      desk_(slots_, cache_, saver_, head_start_, decoder),
      stats_(stats),
      lend_after_(lend_after),
      copied_at_once_(copied_at_once) {}

void Admission::look(const Sequences& sequences) {
  cache_.update();
  const std::vector<Sequence*> active = sequences.active();
  flowing_ = std::any_of(active.begin(), active.end(), [](const Sequence* sequence) { return flows(*sequence); });
}

// New streams and those whose readers are back, alike: whoever would go first always could keep the others out.
void Admission::admit(Sequences& sequences, Clock::time_point now) {
  admitted_at_ = now;
  sources_.take_fetched(sequences);
  if (!flowing_ && saver_.lends().stream != 0) end_saving(sequences);  // it was begun while others were flowing
  int waiting = 0;  // for what will make them quicker: a slot stays free for each
  Sequence* queued = sequences.next_queued();
  Sequence* returning = sequences.next_returning();
  while (queued || returning) {
    const bool is_new = queued && (!returning || queued->waits_since() <= returning->waits_since());
    Sequence& sequence = is_new ? *queued : *returning;
    if (is_new) {
      queued = sequences.next_queued(&sequence);
    } else {
      returning = sequences.next_returning(&sequence);
    }
    if (slots_.free_count() <= waiting) head_start_.give_up();
    const Outcome outcome =
        is_new ? start(sequence, sequences, waiting, now) : bring_back(sequence, sequences, waiting, now);
    if (outcome == Outcome::kWaits) waiting++;
    if (outcome != Outcome::kNoSlot) continue;
    if (!is_new) break;
    queued = nullptr;  // for new ones there is none; one that comes back may have a slot in exchange
  }
  trim_checkpoints();
  cache_.trim();
  head_start_.look();
}

/** Whether one more new stream can have a slot, when so many before it have one coming. */
bool Admission::has_place(const Sequences& sequences, int waiting, Clock::time_point now) {
  return waiting < slots_.free_count() || (waiting == slots_.free_count() && longest_parked(sequences, now));
}

Admission::Outcome Admission::start(Sequence& sequence, Sequences& sequences, int waiting, Clock::time_point now) {
  if (!has_place(sequences, waiting, now)) return Outcome::kNoSlot;
  Source source = sources_.find(sequence);
  if (source.prefix) sequence.found = source.prefix;  // so that it stays in memory for as long as this waits
  if (sources_.computed_soon(sequence, sequences, source.tokens)) return Outcome::kWaits;
  if (sources_.on_disk(sequence, source.tokens)) return Outcome::kWaits;
  if (head_start_.copies(source.prefix)) head_start_.give_up();  // it would be copied twice
  if (slots_.free_count() <= waiting) {
    if (!make_free(sequences, now)) return Outcome::kNoSlot;
    source = sources_.find(sequence);  // making room may have dropped what was found
  }
  const SlotFiller::Place place = filler_.choose_place(source);
  if (place.displaces && !saver_.displaced(place.slot, flowing_)) return Outcome::kWaits;
  filler_.begin(place, source, sequence, sequences);
  return Outcome::kAdmitted;
}

// ---- between two steps -----------------------------------------------------------------------------------------------

bool Admission::copy_some(Sequences& sequences, Clock::duration time) {
  const auto until = Clock::now() + time;
  bool copied = false, prefilling = false;
  for (Sequence* sequence : sequences.active()) {
    prefilling |= sequence->prefilling();
    if (!sequence->loading) continue;
    copied = true;
    if (!sequence->loading->copy->advance_until(until)) return true;
    filler_.loaded(*sequence, sequences);
  }
  if (flowing_ && !saver_.under_way()) saver_.save_ahead();
  if (prefilling && !flowing_) return copied;  // nobody waits for the rest, but somebody for a first token
  if (saver_.under_way()) {
    if (saver_.advance(until)) end_saving(sequences);
    return true;
  }
  if (!head_start_.under_way()) return copied;
  head_start_.advance(until);
  return true;
}

void Admission::computed(const Sequence& sequence, const Token* tokens, int count) {
  saver_.forget(sequence.slot);  // it was parked, and has gone on
  const bool of_prompt = sequence.in_cache < static_cast<int>(sequence.prompt.size());
  slots_.extend(sequence.slot, sequence.prompt.variant(), tokens, count, of_prompt);
}

void Admission::put_back(Sequence& sequence) {
  while (until_moved(sequence) == 0) {
    const int tokens = slots_.put_back(sequence.slot, sequence.prompt);
    sequence.in_cache += tokens;
    sequence.taken_over += tokens;
    if (sequence.prefix) sequence.prefix->moved += tokens;
    stats_.cached_tokens += tokens;
  }
}

// ---- places to cut slots at --------------------------------------------------------------------------------------------

int Admission::until_checkpoint(const Sequence& sequence) const {
  if (!sequence.prefilling() || !cache_.enabled()) return INT_MAX;
  const int least = std::max(sequence.in_cache + 1, slots_.last_checkpoint(sequence.slot) + kCheckpointsApart);
  for (const int place : sequence.checkpoint_places) {
    if (place >= least) return place - sequence.in_cache;
  }
  return INT_MAX;
}

void Admission::keep_checkpoint(const Sequence& sequence) {
  if (!sequence.prefilling() || !cache_.enabled() || sequence.checkpoint_places.empty()) return;
  const int tokens = sequence.in_cache, last = slots_.last_checkpoint(sequence.slot);
  if (tokens < kWorthKeeping || tokens - last < kCheckpointsApart) return;
  const std::vector<int>& places = sequence.checkpoint_places;
  const bool at_place = std::find(places.begin(), places.end(), tokens) != places.end();
  if (!at_place && tokens != sequence.taken_over) return;
  const size_t bytes = decoder_.checkpoint_bytes(sequence.slot);
  // It is copied at once: a pause that readers would notice is not worth it.
  if (bytes == 0 || (flowing_ && bytes > 4 * copied_at_once_)) return;
  slots_.thin_checkpoints(sequence.slot);
  if (!make_room_for_checkpoint(sequence.slot, bytes)) return;
  slots_.add_checkpoint(sequence.slot);
  cache_.hold_checkpoints(slots_.checkpoint_bytes());
}

bool Admission::make_room_for_checkpoint(SlotId slot, size_t bytes) {
  while (!cache_.has_room_for_checkpoints(slots_.checkpoint_bytes() + bytes)) {
    if (!slots_.drop_checkpoints(slot)) return false;
  }
  return true;
}

/** Spilled streams, and what slots have taken from RAM, may leave less room for them than there was. */
void Admission::trim_checkpoints() {
  while (slots_.checkpoint_bytes() > 0 && !cache_.has_room_for_checkpoints(slots_.checkpoint_bytes())) {
    if (!slots_.drop_checkpoints()) break;
  }
  cache_.hold_checkpoints(slots_.checkpoint_bytes());
}

void Admission::leave(Sequence& sequence, bool sound) {
  if (sequence.spilled) cache_.release(sequence.spilled->bytes());
  if (sequence.slot < 0) return;
  saver_.forget(sequence.slot);
  const bool unfinished = sequence.loading.has_value();
  sequence.loading.reset();
  if (!sound || unfinished || !cache_.enabled()) slots_.clear(sequence.slot);
  sources_.remember(slots_[sequence.slot].content);
  // Saving the image of a long prompt takes as long as a short one's first token; the next reader does not wait for this one's.
  slots_.release(sequence.slot, sequence.prefilling() && sequence.cancelled());
}

// ---- streams whose readers are back ------------------------------------------------------------------------------------

Admission::Outcome Admission::bring_back(Sequence& sequence, Sequences& sequences, int waiting, Clock::time_point now) {
  Source source;
  if (!sequence.spilled) {  // computed again: like a new one, it may find a part of that elsewhere
    source = sources_.find(sequence);
    if (source.prefix) sequence.found = source.prefix;
    if (sources_.computed_soon(sequence, sequences, source.tokens) || sources_.on_disk(sequence, source.tokens))
      return Outcome::kWaits;
  }
  if (waiting < slots_.free_count()) {
    const SlotId own = filler_.own_slot(sequence);
    const SlotFiller::Place place = own >= 0           ? SlotFiller::Place{own, true, false}
                                    : sequence.spilled ? SlotFiller::Place{slots_.least_valuable(), false, true}
                                                       : filler_.choose_place(source);
    if (place.displaces && !saver_.displaced(place.slot, flowing_)) return Outcome::kWaits;
    filler_.settle(sequence, place.slot, sequences);
    return Outcome::kAdmitted;
  }
  const SlotId slot = exchange(sequence, sequences, now);
  if (slot < 0) return Outcome::kNoSlot;
  filler_.settle(sequence, slot, sequences);
  return Outcome::kAdmitted;
}

/**
 * The slot of the longest parked stream, whose image takes the place of the returning one's in RAM. Where that would be more than one image
 * too many, no image is kept, and what the parked stream had is computed again when its reader is back. -1: nobody pauses, or not yet.
 */
SlotId Admission::exchange(Sequence& returning, Sequences& sequences, Clock::time_point now) {
  Sequence* parked = sequences.next_parked();
  if (!parked || !lendable(*parked, now) || (flowing_ && saver_.under_way())) return -1;
  // An image that is on its way into a slot is still in memory: one exchange after the other.
  const std::vector<Sequence*> active = sequences.active();
  if (std::any_of(active.begin(), active.end(), [](const Sequence* it) { return it->spilled != nullptr; })) return -1;
  const SlotId slot = parked->slot;
  const SlotSaver::Lending lending{parked->id(), returning.id(), returning.spilled ? returning.spilled->bytes() : 0};
  if (flowing_ && !saver_.is_quick(slot)) {
    saver_.begin_lending(slot, lending);
    if (saver_.under_way()) return -1;
    lend(*parked, sequences, nullptr);
    return slot;
  }
  lend(*parked, sequences, saver_.image_to_lend(slot, lending));
  if (parked->spilled) stats_.exchanges++;
  if (!parked->spilled) saver_.displaced(slot, false);  // the disk may have room
  return slot;
}

// ---- lending the slots of parked streams -----------------------------------------------------------------------------

/** One free slot more, by lending one. False: there is none, or not yet. */
bool Admission::make_free(Sequences& sequences, Clock::time_point now) {
  if (flowing_ && saver_.under_way()) return false;
  Sequence* parked = longest_parked(sequences, now);
  if (!parked) return false;
  const SlotSaver::Lending lending{parked->id(), 0, 0};
  if (flowing_ && !saver_.is_quick(parked->slot)) {
    saver_.begin_lending(parked->slot, lending);
    return false;
  }
  std::shared_ptr<const SavedPrefix> image = saver_.image_to_lend(parked->slot, lending);
  if (!image) return false;
  lend(*parked, sequences, std::move(image));
  return true;
}

/** Of those whose images there is room for: another one does not keep the rest from being lent. */
Sequence* Admission::longest_parked(const Sequences& sequences, Clock::time_point now) {
  if (const StreamId lends = saver_.lends().stream) {  // it has its room
    Sequence* parked = sequences.find(lends);
    return parked->state() == SequenceState::kParked ? parked : nullptr;
  }
  if (least_of_parkings_ == sequences.parkings() && !cache_.can_reserve(least_image_)) return nullptr;
  size_t least = SIZE_MAX;
  for (Sequence* parked = sequences.next_parked(); parked; parked = sequences.next_parked(parked)) {
    if (!parked->parked_bytes) parked->parked_bytes = slots_.image_bytes(parked->slot);
    if (lendable(*parked, now) && cache_.can_reserve(*parked->parked_bytes)) return parked;
    least = std::min(least, *parked->parked_bytes);
  }
  least_of_parkings_ = sequences.parkings();
  least_image_ = least;
  return nullptr;
}

void Admission::end_saving(Sequences& sequences) {
  const SlotSaver::Lending lends = saver_.lends();
  if (lends.stream == 0) {
    saver_.finish();
    return;
  }
  Sequence* parked = sequences.find(lends.stream);
  Sequence* returning = sequences.find(lends.returning);
  const SlotId slot = parked->slot;
  const bool wanted = lends.returning == 0 || (returning && returning->returns());
  if (parked->state() != SequenceState::kParked || !wanted) {
    saver_.forget(slot);  // its reader is back, or whoever wanted it has gone or has another
    return;
  }
  lend(*parked, sequences, saver_.finish());
  if (!returning) return;
  stats_.exchanges++;
  filler_.settle(*returning, slot, sequences);
}

/** Without an image, what its slot held is computed again. */
void Admission::lend(Sequence& sequence, Sequences& sequences, std::shared_ptr<const SavedPrefix> image) {
  const SlotId slot = sequence.slot;
  sequences.lend(sequence, std::move(image), slots_[slot].content, slots_[slot].prompt_tokens);
  if (!cache_.enabled()) slots_.clear(slot);
  slots_.release(slot);
  stats_.spills++;
}

std::optional<Clock::time_point> Admission::next_deadline(const Sequences& sequences) const {
  std::optional<Clock::time_point> deadline = sources_.next_deadline(sequences);
  const bool anybody_waits = sequences.next_queued() || sequences.next_returning();
  if (!anybody_waits || slots_.free_count() > 0) return deadline;
  // Those that could be lent before were tried: there is no room for their images.
  const Sequence* parked = sequences.parked_after(admitted_at_ - lend_after_);
  if (parked && (!deadline || parked->parked_at() + lend_after_ < *deadline)) deadline = parked->parked_at() + lend_after_;
  return deadline;
}

}  // namespace zse
