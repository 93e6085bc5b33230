#include "sequences.h"

#include <utility>

#include "base/assert.h"

namespace zse {

Sequence& Sequences::add(PreparedRequest request) {
  const StreamId id = request.control->id;
  std::unique_ptr<Sequence>& sequence = all_[id];
  ZSE_ASSERT(!sequence, "an id stands for one stream at a time");
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

// ---- transitions -----------------------------------------------------------------------------------------------------

void Sequences::file(Sequence& sequence) {
  bool added = true;
  switch (sequence.state()) {
    case SequenceState::kQueued: added = queued_.insert(&sequence).second; break;
    case SequenceState::kPrefilling:
    case SequenceState::kDecoding: added = active_.insert(&sequence).second; break;
    case SequenceState::kParked: added = parked_.insert(&sequence).second; break;
    case SequenceState::kSpilled:
      if (sequence.returns()) added = returning_.insert(&sequence).second;
      break;
  }
  if (sequence.stall_deadline()) added = stalling_.insert(&sequence).second && added;
  counts_[static_cast<size_t>(sequence.state())]++;
  ZSE_ASSERT(added, "a sequence is in an order once");
  ZSE_ASSERT(orders_agree(), "the orders agree with the states");
}

void Sequences::take_out(Sequence& sequence) {
  size_t found = 1;
  switch (sequence.state()) {
    case SequenceState::kQueued: found = queued_.erase(&sequence); break;
    case SequenceState::kPrefilling:
    case SequenceState::kDecoding: found = active_.erase(&sequence); break;
    case SequenceState::kParked: found = parked_.erase(&sequence); break;
    case SequenceState::kSpilled: found = sequence.returns() ? returning_.erase(&sequence) : 1; break;
  }
  if (sequence.stall_deadline()) found &= stalling_.erase(&sequence);
  counts_[static_cast<size_t>(sequence.state())]--;
  ZSE_ASSERT(found == 1, "a sequence is in the order of its state");
}

/** As far as their sizes tell: whether each is in its own is checked where it is put in and taken out. */
bool Sequences::orders_agree() const {
  const auto size = [this](SequenceState state) { return static_cast<size_t>(count(state)); };
  return queued_.size() == size(SequenceState::kQueued) && parked_.size() == size(SequenceState::kParked) &&
         active_.size() == size(SequenceState::kPrefilling) + size(SequenceState::kDecoding) &&
         returning_.size() <= size(SequenceState::kSpilled) &&
         stalling_.size() <= size(SequenceState::kParked) + size(SequenceState::kSpilled) &&
         all_.size() == queued_.size() + active_.size() + parked_.size() + size(SequenceState::kSpilled);
}

/** What the orders go by changes only while the sequence is in none of them. */
template <class Change>
void Sequences::change(Sequence& sequence, Change change) {
  take_out(sequence);
  change();
  file(sequence);
}

void Sequences::begin_prefill(Sequence& sequence) {
  change(sequence, [&] { sequence.begin_prefill(); });
}

void Sequences::begin_decode(Sequence& sequence) {
  change(sequence, [&] { sequence.begin_decode(); });
}

void Sequences::park(Sequence& sequence, Clock::time_point now) {
  parkings_++;
  change(sequence, [&] { sequence.park(now); });
}

void Sequences::lend(Sequence& sequence, std::shared_ptr<const SavedPrefix> image, const Prompt& content, int of_prompt) {
  change(sequence, [&] { sequence.lend(std::move(image), content, of_prompt); });
}

void Sequences::resume(Sequence& sequence, Clock::time_point now) {
  if (!sequence.paused()) return;
  change(sequence, [&] { sequence.resume(now); });
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
