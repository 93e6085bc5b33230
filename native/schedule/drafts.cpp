#include "drafts.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace zse {

namespace {

// What a step with drafts may take of the target, by an estimate.
constexpr double kAim = 0.9;

// Tokens that the draft model reads in a step at least, where it is behind: fewer cost as much. And before it is known what they take; and at most.
constexpr int kLeastRead = 32, kFirstRead = 64, kMostRead = 256;
constexpr int kReadGroup = 16;

// Fewer tokens tell what a pass over the weights takes, not what a token does.
constexpr int kTellingRead = 8;

// What a stream's reply is expected to have yet, where it may: as many tokens as it has, and so many at least.
constexpr int kExpectedRest = 64;

// Reading must save so many times what it takes: nobody knows how long a reply will be, nor that guesses go on to come.
constexpr double kWorthReading = 4;

// So much more must come of a step of several streams by an estimate, where the draft model guesses: they gain little, and near one the estimates have lost.
constexpr double kWorthGuessing = 1.2;

// What tries of the draft model may take of the time; and steps between two of them, however quick it is.
constexpr double kTryShare = 0.0075;
constexpr int kRest = 24;

// Of a token of the draft model's, before any was tried: that it comes.
constexpr double kModelChance = 0.6;

// What the draft model guesses costs passes over its weights: so many times as many tokens must come of it as of what was looked up.
constexpr double kWorthPasses = 1.5;

// Where nothing seems worth it whatever came of it, something is tried after so many steps all the same, and after ever more of them: a measurement that
// the estimates are from may have been of something else that had the machine.
constexpr int kFirstDoubt = 16, kLongestDoubt = 256;

/** Tokens that come of a draft in which each comes with this chance, if all before it did. */
double expected(double chance, size_t tokens) {
  return chance * (1 - std::pow(chance, static_cast<double>(tokens))) / (1 - chance);
}

}  // namespace

Drafts::Drafts(const Decoder& decoder, DraftModel* model, int most)
    : decoder_(decoder), model_(model), most_(most), of_model_(kModelChance), doubts_(kFirstDoubt) {}

void Drafts::learn(Sequence& sequence, int drafted, int kept) {
  sequence.draft_record().record(drafted, kept);
  if (sequence.draft_source != DraftSource::kModel) return;
  of_model_.record(drafted, kept);
  if (tried_ != sequence.id()) return;
  came_ = 2 * kept >= drafted;
  if (came_) debt_ms_ = std::max(0.0, debt_ms_ - tried_ms_);  // it has paid for itself
}

void Drafts::kept(SlotId slot, size_t index, int tokens) {
  if (model_) computed_.push_back({slot, index, tokens, nullptr});
}

void Drafts::end_step(const KvSlots& slots, const AbortCheck& abort) {
  if (!model_) return;
  for (ComputedReply& reply : computed_) reply.known = &slots[reply.slot].content.tokens();
  const auto started = Clock::now();
  model_->computed(computed_, abort);
  following_ms_ = milliseconds(Clock::now() - started);
  computed_.clear();
}

void Drafts::record(int decode_tokens, int prefill_tokens, double ms) {
  debt_ms_ = std::max(0.0, debt_ms_ - kTryShare * ms);
  if (prefill_tokens == 0) {
    const double change = rows_.record(decode_tokens, ms);
    passes_.drift(change);
    reads_.drift(change);
  }
  if (decode_tokens == 0 && prefill_tokens >= StepCost::kMinPiece) rows_.record_bulk(ms / prefill_tokens);
}

void Drafts::add(const std::vector<Sequence*>& runnable, std::vector<PlanPiece>& plan, const KvSlots& slots,
                 double target_ms, const AbortCheck& abort) {
  for (const PlanPiece& piece : plan) runnable[piece.index]->draft.clear();
  const int rows = static_cast<int>(plan.size());
  const Room room{rows, std::min({most_, decoder_.max_outputs() - rows, decoder_.max_batch_tokens() - rows}),
                  target_ms * kAim};
  std::vector<Candidate> candidates;
  std::vector<DraftOffer> offers;
  for (PlanPiece& piece : plan) {
    candidates.push_back(candidate(*runnable[piece.index], piece, slots, room.more));
    offers.push_back(candidates.back().offer);
  }
  if (std::none_of(offers.begin(), offers.end(), [](const DraftOffer& offer) { return offer.tokens > 0; })) return;

  DraftChoice now = choose(candidates, room);
  const DraftChoice all = choose_drafts(offers, room.rows, room.more, rows_, room.target_ms, passes_);
  if (repays(candidates, now, all)) {
    for (size_t i = 0; i < candidates.size(); i++) candidates[i].is_wanted = all.lengths[i] > 0 && !is_ready(candidates[i]);
    for (size_t i = 0; i < candidates.size(); i++) candidates[i].length = now.lengths[i];
    read(candidates, slots, room, abort);
    now = choose(candidates, room);
  }
  for (size_t i = 0; i < candidates.size(); i++) candidates[i].length = now.lengths[i];

  const DraftChoice hopeful = choose_hopefully(offers, room.rows, room.more, rows_, room.target_ms, passes_);
  const bool doubtful = doubts(hopeful);
  try_lookups(candidates, hopeful, room);
  Candidate* tried = now.any() ? nullptr : next_try(candidates, hopeful);
  Candidate* doubted = doubtful && !tried && !now.any() ? least_behind(candidates) : nullptr;
  if (doubted && (!doubted->offer.by_model || debt_ms_ == 0)) tried = doubted;
  if (tried && tried->offer.by_model) trying_ = tried->sequence->id();
  if (tried && !is_ready(*tried)) {
    tried->is_wanted = true;
    debt_ms_ += read(candidates, slots, room, abort);
  }
  if (tried && is_ready(*tried)) tried->length = std::min({trial_of(tried->offer), tried->offer.tokens, room.more});

  for (const Candidate& one : candidates) {
    if (one.offer.by_model && one.length == 0 && !one.is_wanted) model_->pass_over(one.sequence->slot);
  }
  const bool is_tried = tried && tried->offer.by_model && tried->length > 0;
  tried_ = is_tried ? tried->sequence->id() : 0;
  const double guessing_ms = guess(candidates, slots, abort);
  if (is_tried) {
    trying_ = 0;
    tried_ms_ = guessing_ms + rows_.of(rows + tried->length) - rows_.of(rows);
    debt_ms_ += tried_ms_;
  }
  for (const Candidate& one : candidates) {
    std::vector<Token>& draft = one.sequence->draft;
    draft.resize(std::min(draft.size(), static_cast<size_t>(one.length)));
    one.piece->tokens += static_cast<int>(draft.size());
  }
}

int Drafts::trial_of(const DraftOffer& offer) const { return offer.by_model ? model_->tries() : kTrialDraft; }

bool Drafts::is_ready(const Candidate& candidate) const {
  return !candidate.offer.by_model || candidate.behind <= model_->rides_along();
}

DraftChoice Drafts::choose(std::vector<Candidate>& candidates, const Room& room) const {
  std::vector<DraftOffer> offers;
  bool guesses = false;
  for (const Candidate& one : candidates) {
    offers.push_back(one.offer);
    // Before it is known what a guess takes, it is tried for one stream alone.
    if (!is_ready(one) || (one.offer.by_model && passes_.of(1) == 0)) offers.back().tokens = 0;
    guesses = guesses || (one.offer.by_model && offers.back().tokens > 0);
  }
  const auto choice = [&] { return choose_drafts(offers, room.rows, room.more, rows_, room.target_ms, passes_); };
  const DraftChoice with = choice();
  if (!guesses || room.rows == 1) return with;
  for (DraftOffer& offer : offers)
    if (offer.by_model) offer.tokens = 0;
  const DraftChoice without = choice();
  return with.tokens_per_ms >= kWorthGuessing * without.tokens_per_ms ? with : without;
}

bool Drafts::repays(const std::vector<Candidate>& candidates, const DraftChoice& now, const DraftChoice& all) const {
  const double worth = candidates.size() > 1 ? kWorthGuessing : 1;
  if (!model_ || passes_.of(1) == 0 || all.tokens_per_ms <= worth * now.tokens_per_ms) return false;
  int behind = 0, rest = 0;
  for (size_t i = 0; i < candidates.size(); i++) {
    if (all.lengths[i] > 0 && !is_ready(candidates[i])) behind += candidates[i].behind;
    const Sequence& sequence = *candidates[i].sequence;
    rest += std::min(sequence.reply_room(decoder_.context_size()), std::max(kExpectedRest, sequence.generated));
  }
  return behind > 0 && rest * (1 / now.tokens_per_ms - 1 / all.tokens_per_ms) > kWorthReading * reading_ms(behind);
}

void Drafts::try_lookups(std::vector<Candidate>& candidates, const DraftChoice& hopeful, const Room& room) {
  int left = room.more;
  for (const Candidate& one : candidates) left -= one.length;
  for (size_t i = 0; i < candidates.size(); i++) {
    Candidate& one = candidates[i];
    if (one.offer.by_model || one.length > 0) continue;
    DraftRecord& record = one.sequence->draft_record();
    // Only its caller knows how good a prediction is, and the first steps of an engine may tell wrongly what one with drafts takes.
    const bool unknown = one.sequence->draft_source == DraftSource::kPrediction && !record.tried();
    if (!unknown && (hopeful.lengths[i] == 0 || !record.passed_over())) continue;
    one.length = std::min({kTrialDraft, one.offer.tokens, left});
    left -= one.length;
  }
}

Drafts::Candidate* Drafts::next_try(std::vector<Candidate>& candidates, const DraftChoice& hopeful) {
  Candidate* next = nullptr;
  for (size_t i = 0; i < candidates.size(); i++) {
    Candidate& one = candidates[i];
    if (!one.offer.by_model || one.offer.tokens == 0) continue;
    if (one.sequence->id() == trying_) return &one;
    if (hopeful.lengths[i] > 0 && (!next || one.behind < next->behind)) next = &one;
  }
  trying_ = 0;
  if (!next) return nullptr;
  untried_++;
  // Where one came, the next one may show that guesses are worth it again.
  const bool goes_on = std::exchange(came_, false) && is_ready(*next);
  const bool rests = debt_ms_ > 0 || (passes_.of(1) > 0 && untried_ < kRest);
  if (rests && !goes_on) return nullptr;
  untried_ = 0;
  return next;
}

bool Drafts::doubts(const DraftChoice& hopeful) {
  if (hopeful.any()) {
    doubted_ = 0;
    doubts_ = kFirstDoubt;
    return false;
  }
  if (++doubted_ < doubts_) return false;
  doubted_ = 0;
  doubts_ = std::min(2 * doubts_, kLongestDoubt);
  return true;
}

/** Of those that something can be drafted for. */
Drafts::Candidate* Drafts::least_behind(std::vector<Candidate>& candidates) {
  Candidate* least = nullptr;
  for (Candidate& one : candidates) {
    if (one.offer.tokens > 0 && (!least || one.behind < least->behind)) least = &one;
  }
  return least;
}

/**
 * What is looked up is free, so the draft model is asked only where nothing was found, or where far more comes of its guesses. What is free is tried
 * even then: a prediction first, since only its caller knows how good it is, and anything now and then, since the text may have changed.
 */
Drafts::Candidate Drafts::candidate(Sequence& sequence, PlanPiece& piece, const KvSlots& slots, int room) {
  Candidate found{&piece, &sequence};
  if (!sequence.drafter || sequence.replayed()) return found;
  const int most = std::min({room, sequence.draft_room(decoder_.context_size()), decoder_.most_taken_back()});
  sequence.draft_source = sequence.drafter->draft(most, sequence.draft);
  sequence.end_draft(decoder_);
  found.offer = {static_cast<int>(sequence.draft.size()), sequence.draft_record().chance()};
  if (!model_ || most <= 0) return found;
  DraftRecord& record = sequence.draft_record(DraftSource::kModel);
  record.take_over(of_model_);
  const double chance = record.chance();
  if (!sequence.draft.empty()) {
    DraftRecord& free = sequence.draft_record();
    const double looked_up = expected(found.offer.chance, sequence.draft.size());
    if (kWorthPasses * looked_up >= expected(chance, static_cast<size_t>(most))) return found;
    if (sequence.draft_source == DraftSource::kPrediction && !free.tried()) return found;
    if (free.passed_over()) {
      free.try_next();  // where it is not worth a step's time, it is tried all the same
      return found;
    }
  }
  sequence.draft.clear();
  sequence.draft_source = DraftSource::kModel;
  found.offer = {most, chance, true};
  found.behind = model_->behind(sequence.slot, slots[sequence.slot].content.tokens());
  return found;
}

DraftWish Drafts::wish(const Candidate& candidate, const KvSlots& slots, int most) const {
  Sequence& sequence = *candidate.sequence;
  return {sequence.slot, &slots[sequence.slot].content.tokens(), sequence.next_token, most, &sequence.draft};
}

double Drafts::read(std::vector<Candidate>& candidates, const KvSlots& slots, const Room& room, const AbortCheck& abort) {
  std::vector<DraftWish> wishes;
  int behind = 0, rows = room.rows;
  for (const Candidate& one : candidates) {
    rows += one.length;
    if (!one.is_wanted) continue;
    behind += one.behind;
    wishes.push_back(wish(one, slots, 1));
  }
  const int tokens = readable_within(room.target_ms - rows_.of(rows), behind);
  const auto started = Clock::now();
  const bool all = model_->read(wishes, tokens, abort);
  const double ms = milliseconds(Clock::now() - started);
  if (all) reads_.record(tokens, ms);
  if (all && tokens >= kTellingRead) passes_.record_bulk(ms / tokens);
  for (Candidate& one : candidates) {
    if (one.is_wanted) one.behind = model_->behind(one.sequence->slot, slots[one.sequence->slot].content.tokens());
  }
  return ms;
}

double Drafts::reading_ms(int tokens) const {
  return tokens / kMostRead * reads_.of(kMostRead) + (tokens % kMostRead > 0 ? reads_.of(tokens % kMostRead) : 0);
}

int Drafts::readable_within(double ms, int most) const {
  if (reads_.of(1) == 0) return std::min(most, kFirstRead);
  int tokens = kLeastRead;
  while (tokens < std::min(most, kMostRead) && reads_.of(tokens + kReadGroup) <= ms) tokens += kReadGroup;
  return std::min(most, tokens);
}

/** For all that something is drafted for. It says how long that took. */
double Drafts::guess(std::vector<Candidate>& candidates, const KvSlots& slots, const AbortCheck& abort) {
  std::vector<DraftWish> wishes;
  for (const Candidate& one : candidates) {
    if (one.offer.by_model && one.length > 0) wishes.push_back(wish(one, slots, one.length));
  }
  if (wishes.empty()) return 0;
  const auto started = Clock::now();
  model_->draft(wishes, abort);
  size_t passes = 1;  // a draft that ends early ended in a pass more
  for (const DraftWish& wish : wishes)
    passes = std::max(passes, std::min(wish.draft->size() + 1, static_cast<size_t>(wish.most)));
  const double ms = milliseconds(Clock::now() - started) + following_ms_;
  passes_.record(static_cast<int>(wishes.size()), ms / static_cast<double>(passes));
  for (const Candidate& one : candidates) {
    Sequence& sequence = *one.sequence;
    if (!one.offer.by_model || one.length == 0) continue;
    sequence.end_draft(decoder_);
    if (sequence.draft.empty()) learn(sequence, 1, 0);  // it took a pass, and nothing came of it
  }
  return ms;
}

}  // namespace zse
