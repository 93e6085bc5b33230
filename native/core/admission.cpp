#include "admission.h"

#include <algorithm>
#include <utility>

namespace zse {

namespace {

// Taking over a slot costs nothing, but a few tokens that all prompts begin with are no reason to choose one.
constexpr int kWorthTakingOver = 8;

}  // namespace

Admission::Admission(Decoder& decoder, PrefixCache cache, EngineStats& stats, Clock::duration lend_after)
    : slots_(decoder), cache_(std::move(cache)), stats_(stats), lend_after_(lend_after) {}

void Admission::admit(Sequences& sequences, Clock::time_point now) {
  cache_.update();
  admitted_at_ = now;
  for (auto& [id, sequence] : sequences) {
    if (sequence->state != SequenceState::kSpilled || sequence->out_of_credit() || sequence->lost) continue;
    if (!bring_back(*sequence, sequences, now)) break;
  }
  for (auto& [id, sequence] : sequences) {
    if (sequence->state != SequenceState::kQueued) continue;
    if (start(*sequence, sequences, now) == Outcome::kNoSlot) break;
  }
  cache_.trim();
}

Admission::Outcome Admission::start(Sequence& sequence, Sequences& sequences, Clock::time_point now) {
  if (slots_.free_count() == 0 && !longest_parked(sequences, now)) return Outcome::kNoSlot;
  Source source = find_source(sequence);
  if (computed_soon(sequence, sequences, source.tokens)) return Outcome::kWaits;
  if (on_disk(sequence, source.tokens)) return Outcome::kWaits;
  if (slots_.free_count() == 0) {
    if (!make_free(sequences, now)) return Outcome::kNoSlot;
    source = find_source(sequence);  // making room may have dropped what was found
  }
  sequence.slot = prepare_slot(source, sequence.in_cache);
  sequence.taken_over = sequence.in_cache;
  stats_.cached_tokens += sequence.taken_over;
  slots_.take(sequence.slot, sequence.id());
  sequence.state = SequenceState::kPrefilling;
  return Outcome::kAdmitted;
}

// ---- prefixes --------------------------------------------------------------------------------------------------------

Admission::Source Admission::find_source(const Sequence& sequence) {
  Source best;
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    const KvSlots::Slot& it = slots_[slot];
    const bool busy = it.owner != 0;
    const int tokens = cache_.rule().usable(it.tokens, it.prompt_tokens, sequence.prompt);
    // Without the cache only choices of one request share: the same prompt, at the same time.
    if (!cache_.enabled() && (!busy || tokens + 1 < static_cast<int>(sequence.prompt.size()))) continue;
    if (busy && tokens < kWorthKeeping) continue;
    const bool cheaper = tokens == best.tokens && best.slot >= 0 && slots_[best.slot].owner != 0 && !busy;
    if (tokens > best.tokens || cheaper) best = {tokens, slot, nullptr};
  }
  if (!cache_.enabled()) return best;
  PrefixCache::InRam saved = cache_.find(sequence.prompt);
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
    const bool enough = cache_.enabled() ? tokens * 2 >= size : tokens + 1 == size;
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

/** Chooses a free slot, puts the source's prefix into it, and says how many tokens it holds then. */
SlotId Admission::prepare_slot(const Source& source, int& in_cache) {
  in_cache = 0;
  const bool in_free_slot = source.slot >= 0 && slots_[source.slot].owner == 0;
  if (in_free_slot && source.tokens >= kWorthTakingOver) {
    const int lost = static_cast<int>(slots_[source.slot].tokens.size()) - source.tokens;
    if (lost <= source.tokens || slots_.free_count() == 1) {
      if (lost >= kWorthKeeping) displace(source.slot);
      if (slots_.cut(source.slot, source.tokens)) in_cache = source.tokens;
      return source.slot;
    }
  }

  const SlotId slot = slots_.least_valuable(source.tokens >= kWorthKeeping ? source.slot : -1);
  displace(slot);
  bool filled = false;
  if (source.tokens >= kWorthKeeping) {
    filled = source.prefix ? slots_.load(slot, *source.prefix) && slots_.cut(slot, source.tokens)
                           : slots_.copy(source.slot, slot, source.tokens);
  }
  if (filled) {
    in_cache = source.tokens;
  } else {
    slots_.clear(slot);
  }
  return slot;
}

/** A slot's content is about to be lost: keeps it in RAM (and on disk) if that adds anything. */
void Admission::displace(SlotId slot) {
  if (slots_[slot].abandoned) return;
  const std::vector<Token>& tokens = slots_[slot].tokens;
  const bool to_ram = cache_.wants(tokens), to_disk = !slots_[slot].written && cache_.wants_file(tokens);
  if (!to_ram && !to_disk) return;
  std::shared_ptr<const SavedPrefix> saved = slots_.save(slot);
  if (!saved) return;
  if (to_disk) cache_.write(saved);
  if (to_ram) cache_.insert(std::move(saved));
}

void Admission::computed(const Sequence& sequence, const Token* tokens, int count) {
  slots_.extend(sequence.slot, tokens, count, sequence.prefilling());
}

void Admission::leave(Sequence& sequence, bool sound) {
  if (sequence.spilled) cache_.release(sequence.spilled->bytes());
  if (sequence.slot < 0) return;
  if (!sound || !cache_.enabled()) slots_.clear(sequence.slot);
  // Saving the image of a long prompt takes as long as a short one's first token; the next reader does not wait for this one's.
  slots_.release(sequence.slot, sequence.prefilling() && sequence.cancelled());
}

bool Admission::write_one() {
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    if (slots_[slot].owner != 0 || slots_[slot].abandoned || slots_[slot].written || !cache_.wants_file(slots_[slot].tokens))
      continue;
    slots_.mark_written(slot);
    std::shared_ptr<const SavedPrefix> saved = slots_.save(slot);
    if (!saved) continue;
    cache_.write(std::move(saved));
    return true;
  }
  return false;
}

// ---- lending the slots of parked streams -----------------------------------------------------------------------------

bool Admission::bring_back(Sequence& sequence, Sequences& sequences, Clock::time_point now) {
  const std::shared_ptr<const SavedPrefix> spilled = sequence.spilled;
  if (slots_.free_count() == 0 && !make_free(sequences, now)) return false;
  // Nobody may have needed the place in the meantime.
  SlotId slot = -1;
  for (SlotId other = 0; other < slots_.size() && slot < 0; other++) {
    if (slots_[other].owner == 0 && slots_[other].tokens == spilled->tokens) slot = other;
  }
  if (slot < 0) {
    slot = slots_.least_valuable();
    displace(slot);
    sequence.lost = !slots_.load(slot, *spilled);
    if (sequence.lost) return true;  // the scheduler ends it
  }
  slots_.take(slot, sequence.id());
  sequence.slot = slot;
  cache_.release(spilled->bytes());
  sequence.spilled.reset();
  sequence.state = SequenceState::kDecoding;
  sequence.clock.unparked(now);
  return true;
}

/** One free slot more, by lending one. */
bool Admission::make_free(Sequences& sequences, Clock::time_point now) {
  Sequence* parked = longest_parked(sequences, now);
  return parked && spill(*parked);
}

Sequence* Admission::longest_parked(const Sequences& sequences, Clock::time_point now) const {
  Sequence* longest = nullptr;
  for (const auto& [id, sequence] : sequences) {
    if (sequence->state != SequenceState::kParked || now - sequence->parked_at < lend_after_) continue;
    if (!longest || sequence->parked_at < longest->parked_at) longest = sequence.get();
  }
  return longest;
}

bool Admission::spill(Sequence& sequence) {
  const size_t bytes = slots_.image_bytes(sequence.slot);
  if (!cache_.reserve(bytes)) return false;
  std::shared_ptr<const SavedPrefix> saved = slots_.save(sequence.slot);
  if (!saved || saved->bytes() != bytes) {
    cache_.release(bytes);
    return false;
  }
  sequence.spilled = std::move(saved);
  slots_.release(sequence.slot);
  sequence.slot = -1;
  sequence.state = SequenceState::kSpilled;
  stats_.spills++;
  return true;
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
