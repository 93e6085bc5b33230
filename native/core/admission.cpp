#include "admission.h"

#include <algorithm>
#include <utility>

namespace zse {

namespace {

// Taking over a slot costs nothing, but a few tokens that all prompts begin with are no reason to choose one.
constexpr int kWorthTakingOver = 8;

bool waits(const Sequence& sequence) {
  if (sequence.state == SequenceState::kSpilled) return !sequence.out_of_credit() && !sequence.lost;
  return sequence.state == SequenceState::kQueued;
}

/** New streams and those whose readers are back, alike: whoever would go first always could keep the others out. */
std::vector<Sequence*> longest_waiting_first(const Sequences& sequences) {
  std::vector<Sequence*> all;
  for (const auto& [id, sequence] : sequences) {
    if (waits(*sequence)) all.push_back(sequence.get());
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Sequence* a, const Sequence* b) { return a->waits_since < b->waits_since; });
  return all;
}

bool flows(const Sequence& sequence) { return sequence.state == SequenceState::kDecoding && !sequence.loading; }

}  // namespace

Admission::Admission(Decoder& decoder, PrefixCache cache, EngineStats& stats, Clock::duration lend_after,
                     size_t copied_at_once)
    : slots_(decoder),
      cache_(std::move(cache)),
      saver_(slots_, cache_, copied_at_once),
      stats_(stats),
      lend_after_(lend_after) {}

void Admission::admit(Sequences& sequences, Clock::time_point now) {
  cache_.update();
  admitted_at_ = now;
  flowing_ = std::any_of(sequences.begin(), sequences.end(), [](const auto& entry) { return flows(*entry.second); });
  const std::vector<Sequence*> all = longest_waiting_first(sequences);
  for (Sequence* sequence : all) hold(*sequence);
  int waiting = 0;  // for what will make them quicker: a slot stays free for each
  for (Sequence* sequence : all) {
    const Outcome outcome =
        sequence->spilled ? bring_back(*sequence, sequences, waiting, now) : start(*sequence, sequences, waiting, now);
    if (outcome == Outcome::kNoSlot) break;
    if (outcome == Outcome::kWaits) waiting++;
  }
  cache_.trim();
}

/** Whether one more can have a slot, when so many before it have one coming. */
bool Admission::has_place(const Sequences& sequences, int waiting, Clock::time_point now) const {
  return waiting < slots_.free_count() || (waiting == slots_.free_count() && longest_parked(sequences, now));
}

/** What was read from disk for it stays in memory until it has a slot, whatever RAM has to let go of. */
void Admission::hold(Sequence& sequence) {
  if (!sequence.fetching || cache_.fetching(*sequence.fetching)) return;
  if (std::shared_ptr<const SavedPrefix> prefix = find_source(sequence).prefix) sequence.found = std::move(prefix);
}

Admission::Outcome Admission::start(Sequence& sequence, Sequences& sequences, int waiting, Clock::time_point now) {
  if (!has_place(sequences, waiting, now)) return Outcome::kNoSlot;
  Source source = find_source(sequence);
  sequence.found = source.prefix;  // so that it stays in memory for as long as this waits
  if (computed_soon(sequence, sequences, source.tokens)) return Outcome::kWaits;
  if (on_disk(sequence, source.tokens)) return Outcome::kWaits;
  if (slots_.free_count() <= waiting) {
    if (!make_free(sequences, now)) return Outcome::kNoSlot;
    source = find_source(sequence);  // making room may have dropped what was found
  }
  const Place place = choose_place(source);
  if (place.displaces && !saver_.displaced(place.slot, flowing_)) return Outcome::kWaits;
  claim(place.slot, sequence);
  sequence.found.reset();
  sequence.state = SequenceState::kPrefilling;
  fill(place, source, sequence);
  return Outcome::kAdmitted;
}

void Admission::claim(SlotId slot, Sequence& sequence) {
  saver_.forget(slot);  // it goes on from here, and is kept when it is done again
  slots_.take(slot, sequence.id());
  sequence.slot = slot;
}

// ---- prefixes --------------------------------------------------------------------------------------------------------

Admission::Source Admission::find_source(const Sequence& sequence) {
  Source best;
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    const KvSlots::Slot& it = slots_[slot];
    const bool busy = it.owner != 0;
    const int tokens = cache_.rule().usable(it.tokens, it.prompt_tokens, sequence.prompt);
    // Without the cache only choices of one request share: the same prompt, at the same time.
    if (!cache_.enabled() && !(busy && common_prefix(it.tokens, sequence.prompt) == sequence.prompt.size())) continue;
    if (busy && tokens < kWorthKeeping) continue;
    const bool cheaper = tokens == best.tokens && best.slot >= 0 && slots_[best.slot].owner != 0 && !busy;
    if (tokens > best.tokens || cheaper) best = {tokens, slot, nullptr};
  }
  if (!cache_.enabled()) return best;
  PrefixCache::InRam saved = cache_.find(sequence.prompt);
  if (const auto& found = sequence.found) {  // RAM may have had to let go of it
    const int tokens = cache_.rule().usable(found->tokens, found->prompt_tokens, sequence.prompt);
    if (tokens > saved.tokens) saved = {tokens, found};
  }
  if (saved.tokens >= std::max(best.tokens + 1, kWorthKeeping)) best = {saved.tokens, -1, std::move(saved.prefix)};
  return best;
}

/** Whether another stream is computing most of this prompt now: then waiting for it is shorter than computing it a second time. */
bool Admission::computed_soon(const Sequence& sequence, const Sequences& sequences, int have) const {
  if (!cache_.rule().can_cut) return false;
  const int size = static_cast<int>(sequence.prompt.size());
  for (const auto& [id, other] : sequences) {
    if (other->state != SequenceState::kPrefilling) continue;
    const int tokens = cache_.rule().usable(other->prompt, static_cast<int>(other->prompt.size()), sequence.prompt);
    const bool enough = cache_.enabled() ? tokens * 2 >= size : other->prompt == sequence.prompt;
    if (enough && tokens >= kWorthKeeping && tokens > have && other->in_cache < tokens) return true;
  }
  return false;
}

/** Whether more of the prompt is on disk than is at hand; it is being read then. Tried once for each stream. */
bool Admission::on_disk(Sequence& sequence, int have) {
  if (sequence.fetching) return cache_.fetching(*sequence.fetching);
  const PrefixCache::OnDisk file = cache_.find_file(sequence.prompt);
  if (file.tokens < have + kWorthKeeping) return false;
  sequence.fetching = file.id;
  cache_.fetch(file.id);
  return true;
}

Admission::Place Admission::choose_place(const Source& source) const {
  const bool in_free_slot = source.slot >= 0 && slots_[source.slot].owner == 0;
  if (in_free_slot && source.tokens >= kWorthTakingOver) {
    const int lost = static_cast<int>(slots_[source.slot].tokens.size()) - source.tokens;
    if (lost <= source.tokens || slots_.free_count() == 1) return {source.slot, true, lost >= kWorthKeeping};
  }
  return {slots_.least_valuable(source.tokens >= kWorthKeeping ? source.slot : -1), false, true};
}

/** Puts the source's prefix into the sequence's slot, or begins to. */
void Admission::fill(const Place& place, const Source& source, Sequence& sequence) {
  const SlotId slot = place.slot;
  bool filled = false;
  if (place.in_place) {
    filled = slots_.cut(slot, source.tokens);
  } else if (source.tokens >= kWorthKeeping && source.prefix) {
    if (auto copy = slots_.begin_load(slot, *source.prefix)) {
      sequence.loading = Sequence::Loading{source.prefix, std::move(copy), source.tokens};
      return;
    }
  } else if (source.tokens >= kWorthKeeping) {
    filled = slots_.copy(source.slot, slot, source.tokens);
  }
  if (!filled) slots_.clear(slot);
  sequence.in_cache = sequence.taken_over = filled ? source.tokens : 0;
  stats_.cached_tokens += sequence.taken_over;
}

void Admission::loaded(Sequence& sequence) {
  const Sequence::Loading loading = *std::exchange(sequence.loading, std::nullopt);
  slots_.end_load(sequence.slot, *loading.prefix);
  if (sequence.spilled) {
    brought_back(sequence);
    return;
  }
  if (!slots_.cut(sequence.slot, loading.wanted)) return;
  sequence.in_cache = sequence.taken_over = loading.wanted;
  stats_.cached_tokens += sequence.taken_over;
}

// ---- between two steps -----------------------------------------------------------------------------------------------

bool Admission::copy_some(Sequences& sequences, Clock::duration time) {
  const auto until = Clock::now() + time;
  bool copied = false, prefilling = false;
  for (auto& [id, sequence] : sequences) {
    prefilling |= sequence->prefilling();
    if (!sequence->loading) continue;
    copied = true;
    if (!sequence->loading->copy->advance_until(until)) return true;
    loaded(*sequence);
  }
  if (flowing_ && !saver_.under_way()) saver_.save_ahead();
  if (!saver_.under_way() || (prefilling && !flowing_))
    return copied;  // nobody waits for it, but somebody for a first token
  if (saver_.advance(until)) end_saving(sequences);
  return true;
}

void Admission::computed(const Sequence& sequence, const Token* tokens, int count) {
  saver_.forget(sequence.slot);  // it was parked, and has gone on
  slots_.extend(sequence.slot, tokens, count, sequence.prefilling());
}

void Admission::leave(Sequence& sequence, bool sound) {
  if (sequence.spilled) cache_.release(sequence.spilled->bytes());
  if (sequence.slot < 0) return;
  saver_.forget(sequence.slot);
  const bool unfinished = sequence.loading.has_value();
  sequence.loading.reset();
  if (!sound || unfinished || !cache_.enabled()) slots_.clear(sequence.slot);
  // Saving the image of a long prompt takes as long as a short one's first token; the next reader does not wait for this one's.
  slots_.release(sequence.slot, sequence.prefilling() && sequence.cancelled());
}

// ---- lending the slots of parked streams -----------------------------------------------------------------------------

Admission::Outcome Admission::bring_back(Sequence& sequence, Sequences& sequences, int waiting, Clock::time_point now) {
  const std::shared_ptr<const SavedPrefix> spilled = sequence.spilled;
  if (slots_.free_count() <= waiting && !make_free(sequences, now)) return Outcome::kNoSlot;
  // Nobody may have needed the place in the meantime.
  SlotId slot = -1;
  for (SlotId other = 0; other < slots_.size() && slot < 0; other++) {
    if (slots_[other].owner == 0 && slots_[other].tokens == spilled->tokens) slot = other;
  }
  if (slot >= 0) {
    claim(slot, sequence);
    brought_back(sequence);
    return Outcome::kAdmitted;
  }
  slot = slots_.least_valuable();
  if (!saver_.displaced(slot, flowing_)) return Outcome::kWaits;
  std::unique_ptr<SlotCopy> copy = slots_.begin_load(slot, *spilled);
  sequence.lost = !copy;
  if (sequence.lost) return Outcome::kAdmitted;  // the scheduler ends it
  claim(slot, sequence);
  sequence.state = SequenceState::kDecoding;
  sequence.loading = Sequence::Loading{spilled, std::move(copy), static_cast<int>(spilled->tokens.size())};
  return Outcome::kAdmitted;
}

void Admission::brought_back(Sequence& sequence) {
  cache_.release(sequence.spilled->bytes());
  sequence.spilled.reset();
  sequence.state = SequenceState::kDecoding;
}

/** One free slot more, by lending one. False: there is none, or not yet. */
bool Admission::make_free(Sequences& sequences, Clock::time_point now) {
  Sequence* parked = longest_parked(sequences, now);
  if (!parked || (flowing_ && saver_.under_way())) return false;
  if (saver_.lends() != 0) {  // it was begun while others were flowing
    const int before = slots_.free_count();
    end_saving(sequences);
    return slots_.free_count() > before;
  }
  if (flowing_ && !saver_.is_quick(parked->slot)) {
    saver_.begin_lending(parked->slot, parked->id());
    return false;
  }
  std::shared_ptr<const SavedPrefix> image = saver_.image_to_lend(parked->slot);
  if (!image) return false;
  lend(*parked, std::move(image));
  return true;
}

/** Of those whose images there is room for: another one does not keep the rest from being lent. */
Sequence* Admission::longest_parked(const Sequences& sequences, Clock::time_point now) const {
  Sequence* longest = nullptr;
  for (const auto& [id, sequence] : sequences) {
    if (sequence->state != SequenceState::kParked || now - sequence->parked_at < lend_after_) continue;
    if (longest && sequence->parked_at >= longest->parked_at) continue;
    if (!sequence->parked_bytes) sequence->parked_bytes = slots_.image_bytes(sequence->slot);
    if (saver_.lends() == id || cache_.can_reserve(*sequence->parked_bytes)) longest = sequence.get();
  }
  return longest;
}

void Admission::end_saving(Sequences& sequences) {
  const auto lends = sequences.find(saver_.lends());
  if (lends == sequences.end()) {
    saver_.finish();
  } else if (lends->second->state == SequenceState::kParked) {
    lend(*lends->second, saver_.finish());
  } else {
    saver_.forget(lends->second->slot);  // its reader is back
  }
}

void Admission::lend(Sequence& sequence, std::shared_ptr<const SavedPrefix> image) {
  sequence.spilled = std::move(image);
  if (!cache_.enabled()) slots_.clear(sequence.slot);
  slots_.release(sequence.slot);
  sequence.slot = -1;
  sequence.state = SequenceState::kSpilled;
  stats_.spills++;
}

std::optional<Clock::time_point> Admission::next_deadline(const Sequences& sequences) const {
  bool anybody_waits = false;
  std::optional<Clock::time_point> deadline;
  for (const auto& [id, sequence] : sequences) {
    anybody_waits |= sequence->state == SequenceState::kQueued ||
                     (sequence->state == SequenceState::kSpilled && !sequence->out_of_credit());
    if (sequence->state != SequenceState::kParked) continue;
    const auto lendable = sequence->parked_at + lend_after_;
    if (lendable <= admitted_at_) continue;  // it was tried: there is no room for its image
    if (!deadline || lendable < *deadline) deadline = lendable;
  }
  if (!anybody_waits || slots_.free_count() > 0) return {};
  return deadline;
}

}  // namespace zse
