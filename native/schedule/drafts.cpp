#include "drafts.h"

#include <algorithm>
#include <cmath>

namespace zse {

namespace {

// What a step with drafts may take of the target, by an estimate.
constexpr double kAim = 0.9;

// Tokens that the draft model reads in a step at least, where it is behind; and before it is known what one takes.
constexpr int kLeastRead = 16, kFirstRead = 64;

// Fewer tokens tell what a pass over the weights takes, not what a token does.
constexpr int kTellingRead = 8;

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
  if (sequence.draft_source == DraftSource::kModel) of_model_.record(drafted, kept);
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
  if (prefill_tokens == 0) rows_.record(decode_tokens, ms);
  if (decode_tokens == 0 && prefill_tokens >= StepCost::kMinPiece) rows_.record_bulk(ms / prefill_tokens);
}

void Drafts::add(const std::vector<Sequence*>& runnable, std::vector<PlanPiece>& plan, const KvSlots& slots,
                 double target_ms, const AbortCheck& abort) {
  for (const PlanPiece& piece : plan) runnable[piece.index]->draft.clear();
  const int rows = static_cast<int>(plan.size());
  const int room = std::min({most_, decoder_.max_outputs() - rows, decoder_.max_batch_tokens() - rows});
  std::vector<Candidate> candidates;
  std::vector<DraftOffer> offers;
  for (PlanPiece& piece : plan) {
    candidates.push_back(candidate(*runnable[piece.index], piece, slots, room));
    offers.push_back(candidates.back().offer);
  }
  if (std::none_of(offers.begin(), offers.end(), [](const DraftOffer& offer) { return offer.tokens > 0; })) return;
  std::vector<int> lengths = choose_drafts(offers, rows, room, rows_, target_ms * kAim, passes_);
  const std::vector<int> hopeful = choose_hopefully(offers, rows, room, rows_, target_ms * kAim, passes_);
  int left = room;
  for (const int length : lengths) left -= length;
  // What the draft model has to read for a try is read for one stream at a time: what comes of that is known of the others.
  const Candidate* reading = nullptr;
  for (const Candidate& one : candidates) {
    if (one.behind > 0 && (!reading || one.behind < reading->behind)) reading = &one;
  }
  for (size_t i = 0; i < candidates.size(); i++) {
    if (lengths[i] > 0 || hopeful[i] == 0 || (candidates[i].behind > 1 && &candidates[i] != reading)) continue;
    if (!candidates[i].sequence->draft_record().passed_over()) continue;
    lengths[i] = std::min({trial_of(offers[i]), offers[i].tokens, left});
    left -= lengths[i];
  }
  const bool is_hopeless = std::all_of(hopeful.begin(), hopeful.end(), [](int length) { return length == 0; });
  if (!is_hopeless) doubted_ = 0, doubts_ = kFirstDoubt;
  const Candidate* doubted = is_hopeless && ++doubted_ >= doubts_ ? least_behind(candidates) : nullptr;
  const size_t at = doubted ? static_cast<size_t>(doubted - candidates.data()) : 0;
  if (doubted) lengths[at] = std::min({trial_of(offers[at]), offers[at].tokens, left});
  for (size_t i = 0; model_ && i < candidates.size(); i++) {
    if (candidates[i].offer.by_model && lengths[i] == 0) model_->pass_over(candidates[i].sequence->slot);
  }
  read(candidates, lengths, slots, target_ms * kAim, abort);
  if (doubted && lengths[at] > 0) doubted_ = 0, doubts_ = std::min(2 * doubts_, kLongestDoubt);
  guess(candidates, lengths, slots, abort);
  for (size_t i = 0; i < candidates.size(); i++) {
    std::vector<Token>& draft = candidates[i].sequence->draft;
    draft.resize(std::min(draft.size(), static_cast<size_t>(lengths[i])));
    candidates[i].piece->tokens += static_cast<int>(draft.size());
  }
}

int Drafts::trial_of(const DraftOffer& offer) const { return offer.by_model ? model_->tries() : kTrialDraft; }

/** Of those that something can be drafted for. */
const Drafts::Candidate* Drafts::least_behind(const std::vector<Candidate>& candidates) {
  const Candidate* least = nullptr;
  for (const Candidate& one : candidates) {
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

void Drafts::read(std::vector<Candidate>& candidates, std::vector<int>& lengths, const KvSlots& slots, double target_ms,
                  const AbortCheck& abort) {
  std::vector<DraftWish> wishes;
  int behind = 0, rows = static_cast<int>(candidates.size());
  for (size_t i = 0; i < candidates.size(); i++) {
    rows += lengths[i];
    if (lengths[i] == 0 || candidates[i].behind == 0) continue;
    behind += candidates[i].behind;
    wishes.push_back(wish(candidates[i], slots, lengths[i]));
  }
  if (wishes.empty()) return;
  const double left_ms = target_ms - rows_.of(rows);
  const int affordable = ms_per_read_token_ > 0 ? static_cast<int>(left_ms / ms_per_read_token_) : kFirstRead;
  const int tokens = std::min(behind, std::max(kLeastRead, affordable));
  const auto started = Clock::now();
  const bool all = model_->read(wishes, tokens, abort);
  if (all && tokens >= kTellingRead) {
    const double each = milliseconds(Clock::now() - started) / tokens;
    ms_per_read_token_ = ms_per_read_token_ == 0 ? each : ms_per_read_token_ + 0.3 * (each - ms_per_read_token_);
    passes_.record_bulk(each);
  }
  for (size_t i = 0; i < candidates.size(); i++) {
    if (lengths[i] == 0 || candidates[i].behind == 0) continue;
    const SlotId slot = candidates[i].sequence->slot;
    candidates[i].behind = model_->behind(slot, slots[slot].content.tokens());
    if (candidates[i].behind == 0) continue;
    candidates[i].sequence->draft_record().try_next();
    lengths[i] = 0;
  }
}

void Drafts::guess(std::vector<Candidate>& candidates, const std::vector<int>& lengths, const KvSlots& slots,
                   const AbortCheck& abort) {
  std::vector<DraftWish> wishes;
  for (size_t i = 0; i < candidates.size(); i++) {
    if (candidates[i].offer.by_model && lengths[i] > 0) wishes.push_back(wish(candidates[i], slots, lengths[i]));
  }
  if (wishes.empty()) return;
  const auto started = Clock::now();
  model_->draft(wishes, abort);
  size_t passes = 1;
  for (const DraftWish& wish : wishes) passes = std::max(passes, wish.draft->size());
  const double ms = milliseconds(Clock::now() - started) + following_ms_;
  passes_.record(static_cast<int>(wishes.size()), ms / static_cast<double>(passes));
  for (size_t i = 0; i < candidates.size(); i++) {
    Sequence& sequence = *candidates[i].sequence;
    if (!candidates[i].offer.by_model || lengths[i] == 0) continue;
    sequence.end_draft(decoder_);
    if (sequence.draft.empty()) learn(sequence, 1, 0);  // it took a pass, and nothing came of it
  }
}

}  // namespace zse
