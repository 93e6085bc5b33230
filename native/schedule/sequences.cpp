#include "sequences.h"

namespace zse {

Sequence& Sequences::add(PreparedRequest request) {
  const StreamId id = request.control->id;
  std::unique_ptr<Sequence>& sequence = all_[id];
  sequence = std::make_unique<Sequence>(std::move(request), ++arrivals_);
  file(*sequence);
  return *visit(sequence.get());
}

void Sequences::erase(Sequence& sequence) {
  take_out(sequence);
  all_.erase(sequence.id());
}

Sequence* Sequences::find(StreamId id) const {
  const auto found = all_.find(id);
  return found == all_.end() ? nullptr : visit(found->second.get());
}

// ---- changes of state ------------------------------------------------------------------------------------------------

void Sequences::file(Sequence& sequence) {
  switch (sequence.state()) {
    case SequenceState::kQueued: queued_.insert(&sequence); break;
    case SequenceState::kPrefilling:
    case SequenceState::kDecoding: active_.insert(&sequence); break;
    case SequenceState::kParked: parked_.insert(&sequence); break;
    case SequenceState::kSpilled:
      if (sequence.returns()) returning_.insert(&sequence);
      break;
  }
  if (sequence.stall_deadline()) stalling_.insert(&sequence);
  counts_[static_cast<size_t>(sequence.state())]++;
}

void Sequences::take_out(Sequence& sequence) {
  switch (sequence.state()) {
    case SequenceState::kQueued: queued_.erase(&sequence); break;
    case SequenceState::kPrefilling:
    case SequenceState::kDecoding: active_.erase(&sequence); break;
    case SequenceState::kParked: parked_.erase(&sequence); break;
    case SequenceState::kSpilled: returning_.erase(&sequence); break;
  }
  if (sequence.stall_deadline()) stalling_.erase(&sequence);
  counts_[static_cast<size_t>(sequence.state())]--;
}

/** What the orders go by changes only while the sequence is in none of them. */
template <class Change>
void Sequences::change(Sequence& sequence, Change change) {
  take_out(sequence);
  change(sequence.standing_);
  file(sequence);
}

void Sequences::prefill(Sequence& sequence) {
  change(sequence, [](auto& standing) { standing.state = SequenceState::kPrefilling; });
}

void Sequences::decode(Sequence& sequence) {
  change(sequence, [](auto& standing) { standing.state = SequenceState::kDecoding; });
}

void Sequences::park(Sequence& sequence, Clock::time_point now) {
  parkings_++;
  change(sequence, [&](auto& standing) {
    standing.state = SequenceState::kParked;
    standing.parked_at = now;
    if (sequence.settings.stall_timeout_ms > 0)
      standing.stall_deadline = now + std::chrono::milliseconds(sequence.settings.stall_timeout_ms);
  });
}

void Sequences::spill(Sequence& sequence) {
  change(sequence, [](auto& standing) {
    standing.state = SequenceState::kSpilled;
    standing.returns = false;
  });
}

void Sequences::reader_is_back(Sequence& sequence, Clock::time_point now) {
  if (sequence.state() != SequenceState::kParked && sequence.state() != SequenceState::kSpilled) return;
  change(sequence, [&](auto& standing) {
    standing.stall_deadline.reset();
    if (standing.state == SequenceState::kParked) standing.state = SequenceState::kDecoding;
    if (standing.state != SequenceState::kSpilled || standing.returns) return;
    standing.returns = true;
    standing.waits_since = now;  // that is not its reader's pause
  });
}

// ---- orders ----------------------------------------------------------------------------------------------------------

Sequence* Sequences::parked_after(Clock::time_point time) const {
  const auto found = parked_.upper_bound(time);
  return found == parked_.end() ? nullptr : visit(*found);
}

std::vector<Sequence*> Sequences::active() const {
  visited_ += active_.size();
  return {active_.begin(), active_.end()};
}

Sequence* Sequences::stalled(Clock::time_point now) const {
  const std::optional<Clock::time_point> first = next_stall();
  return first && *first <= now ? visit(*stalling_.begin()) : nullptr;
}

std::optional<Clock::time_point> Sequences::next_stall() const {
  if (stalling_.empty()) return {};
  return (*stalling_.begin())->stall_deadline();
}

}  // namespace zse
