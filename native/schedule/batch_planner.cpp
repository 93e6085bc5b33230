#include "batch_planner.h"

#include <algorithm>

namespace zse {

namespace {

// However often the machine stops, prompts have so much of what decoding leaves of the target.
constexpr double kLeastOfRoom = 0.45;

// A step with a newcomer may take a little longer than the target.
constexpr double kLongest = 1.04;

// Of a step, what may be lost for a newcomer.
constexpr double kMostLost = 0.25;

// Before anything was measured, a first piece that even a slow machine computes in a fraction of a second.
constexpr int kFirstPiece = 64;

// The same of texts beside decoding streams.
constexpr int kFirstTexts = 16;

// Fewer prompts than this go one after the other: what the first of them decode takes little of the others' steps.
constexpr size_t kManyPrompts = 5;
// A burst that takes more batches than this would keep its first token back too long.
constexpr int kMostBatchesTogether = 4;

using Candidates = std::vector<const PlanCandidate*>;

int budget(double tokens, int most) {
  return std::clamp(static_cast<int>(std::min(tokens, 1e6)), std::min(StepCost::kMinPiece, most), most);
}

/** A running estimate. */
void blend(double& estimate, double sample, double weight) {
  estimate = estimate == 0 ? sample : estimate + weight * (sample - estimate);
}

/**
 * Whether prompts that came in one burst should end their prefill in the same step. One after the other, the first ones' decoding
 * would leave the last ones only small pieces of each step, so that the burst as a whole takes longer. The shortest comes first.
 */
bool begin_together(const Candidates& prompts, int64_t total, int room) {
  return prompts.size() >= kManyPrompts && total > room && total <= kMostBatchesTogether * room &&
         2 * prompts.front()->remaining >= prompts.back()->remaining;
}

/** Each prompt gets the same part of what remains of it. */
void share_evenly(const Candidates& prompts, int64_t total, int room, std::vector<PlanPiece>& pieces) {
  int left = room;
  for (const PlanCandidate* prompt : prompts) left -= static_cast<int>(int64_t{prompt->remaining} * room / total);
  for (const PlanCandidate* prompt : prompts) {
    int tokens = static_cast<int>(int64_t{prompt->remaining} * room / total);
    if (left > 0 && tokens < prompt->remaining) {
      tokens++;
      left--;
    }
    if (tokens > 0) pieces.push_back({prompt->index, tokens});
  }
}

bool waited_longer(const PlanCandidate& a, const PlanCandidate& b) {
  return a.last_step != b.last_step ? a.last_step < b.last_step : a.arrival < b.arrival;
}

/**
 * Prompt tokens of a step that has `decoding` others, of `room`. A whole group of rows where most of it fits: a longer piece is measured only when it is
 * tried. And the first group always, which takes as long with fewer rows: where even decoding takes most of the time, prompts move twice as fast.
 */
int whole_groups(size_t decoding, int room, const PlanLimits& limits) {
  const int others = static_cast<int>(decoding);
  const int rows = limits.row_groups.down(others + room + limits.row_groups.over());
  const int whole = std::min(rows, limits.max_batch_tokens);
  return whole > others ? whole - others : room;
}

/**
 * Prompt tokens of a step in which the prompts end that can, the shortest first, in whole groups of rows; 0: none can, or one that may not wait cannot.
 * More than `room` is taken where a prompt ends with it, as far as the ending budget allows: its first token comes a whole step sooner.
 */
int room_to_end(const Candidates& prompts, const PlanCandidate* may_not_wait, size_t decoding, int room,
                const PlanLimits& limits) {
  const int others = static_cast<int>(decoding);
  const int most = std::min(std::max(room, limits.ending_budget), limits.max_batch_tokens - others);
  int tokens = 0;
  for (const PlanCandidate* prompt : prompts) {
    if (tokens + prompt->remaining > (tokens == 0 ? most : room)) break;
    tokens += prompt->remaining;
    if (prompt == may_not_wait) may_not_wait = nullptr;
  }
  if (tokens == 0 || may_not_wait) return 0;
  return std::min(limits.row_groups.up(others + tokens), others + most) - others;
}

// More decoding sequences than the batch holds: those that waited longest go first.
void keep_longest_waiting(Candidates& decoding, const PlanLimits& limits) {
  const auto waited_longest = [](const PlanCandidate* a, const PlanCandidate* b) { return waited_longer(*a, *b); };
  if (decoding.size() <= static_cast<size_t>(limits.max_batch_tokens)) return;
  std::stable_sort(decoding.begin(), decoding.end(), waited_longest);
  decoding.resize(limits.max_batch_tokens);
}

std::vector<PlanPiece> plan_exclusive(const std::vector<PlanCandidate>& candidates, const PlanCandidate& next,
                                      const PlanLimits& limits) {
  if (next.remaining > 0) return {{next.index, std::min({next.remaining, kExclusivePiece, limits.max_batch_tokens})}};
  if (!limits.rows_alike) return {{next.index, 1}};
  Candidates decoding;
  for (const PlanCandidate& candidate : candidates)
    if (candidate.remaining == 0 && candidate.variant == next.variant) decoding.push_back(&candidate);
  keep_longest_waiting(decoding, limits);
  std::vector<PlanPiece> pieces;
  for (const PlanCandidate* candidate : decoding) pieces.push_back({candidate->index, 1});
  return pieces;
}

}  // namespace

std::vector<PlanPiece> plan_batch(const std::vector<PlanCandidate>& candidates, const PlanLimits& limits) {
  const auto next = std::min_element(candidates.begin(), candidates.end(), waited_longer);
  if (next == candidates.end()) return {};
  if (limits.exclusive) return plan_exclusive(candidates, *next, limits);

  std::vector<PlanPiece> pieces;
  Candidates decoding, prompts;
  bool anybody_decodes = false;
  for (const PlanCandidate& candidate : candidates) {
    anybody_decodes = anybody_decodes || candidate.remaining == 0;
    if (candidate.variant == next->variant) (candidate.remaining == 0 ? decoding : prompts).push_back(&candidate);
  }

  keep_longest_waiting(decoding, limits);
  for (const PlanCandidate* candidate : decoding) pieces.push_back({candidate->index, 1});

  int room = limits.max_batch_tokens - static_cast<int>(decoding.size());
  if (anybody_decodes) room = whole_groups(decoding.size(), std::min(room, limits.prefill_budget), limits);
  if (prompts.empty() || room <= 0) return pieces;

  std::stable_sort(prompts.begin(), prompts.end(), [](const auto* a, const auto* b) { return a->remaining < b->remaining; });
  if (!anybody_decodes) {
    int64_t total = 0;
    for (const PlanCandidate* prompt : prompts) total += prompt->remaining;
    if (begin_together(prompts, total, room)) {
      share_evenly(prompts, total, room, pieces);
      return pieces;
    }
  }
  const PlanCandidate* oldest = *std::min_element(prompts.begin(), prompts.end(),
                                                  [](const auto* a, const auto* b) { return a->arrival < b->arrival; });
  int reserved = std::min(oldest->remaining, (room + 3) / 4);
  if (oldest->remaining > room) {
    const PlanCandidate* may_not_wait = oldest->passed_over ? oldest : nullptr;
    if (const int ending = room_to_end(prompts, may_not_wait, decoding.size(), room, limits)) {
      room = ending;
      reserved = 0;
    }
  }
  int shared = room - reserved;
  for (const PlanCandidate* prompt : prompts) {
    const int floor = prompt == oldest ? reserved : 0;
    const int extra = std::min(prompt->remaining - floor, shared);
    shared -= extra;
    if (floor + extra > 0) pieces.push_back({prompt->index, floor + extra});
  }
  return pieces;
}

void StepCost::record(int decode_tokens, int prefill_tokens, double ms) {
  if (prefill_tokens == 0) {
    if (decode_tokens > 0) blend(decode_ms_, ms, 0.1);
    return;
  }
  if (decode_tokens == 0) {
    if (prefill_tokens < kMinPiece) return;  // a prompt's last few: what they take is that of a step
    blend(ms_per_bulk_token_, std::max(ms - decode_ms_, ms * 0.1) / prefill_tokens, 0.3);
    return;
  }
  // Both were measured a while ago, maybe on a busy machine: a piece makes no step shorter, and many tokens cost less each than few.
  decode_ms_ = std::min(decode_ms_, ms);
  ms_per_bulk_token_ = std::min(ms_per_bulk_token_, ms / prefill_tokens);
  pieces_.record(prefill_tokens, std::max(ms - decode_ms_, ms * 0.1), decode_ms_);
  if (planned_ms_ == 0) return;
  const bool ends = prefill_tokens > planned_tokens_ + over_;
  unevenness_.record(ends ? std::max(planned_ms_, ending_ms_) : planned_ms_, ms);
}

double StepCost::planned(double target_ms) const {
  return unevenness_.planned(target_ms, decode_ms_ + kLeastOfRoom * (target_ms - decode_ms_));
}

void StepCost::record_texts(bool decoding, int tokens, double ms) {
  blend(decoding ? ms_per_text_token_ : ms_per_lone_text_token_, std::max(ms - decode_ms_, ms * 0.1) / tokens, 0.3);
  if (decoding) last_texts_ = tokens;
}

bool StepCost::is_joined(int tokens, double elapsed_ms, double target_ms, bool decoding, int prefill_tokens) const {
  const double foreseen_ms = decoding ? planned_ms_ : ms_per_bulk_token_ * prefill_tokens;
  if (elapsed_ms > kMostLost * foreseen_ms) return false;
  return tokens <= tokens_within(kLongest * target_ms - (decoding ? elapsed_ms : 0));
}

int StepCost::texts_budget(double target_ms) const {
  const double per_token = ms_per_text_token_ > 0 ? ms_per_text_token_ : 2 * ms_per_lone_text_token_;
  // What a token takes is learned from small pieces, and may be told too small by them.
  const int most = std::max(kFirstTexts, 2 * last_texts_);
  if (per_token == 0) return most;
  const double tokens = (planned(target_ms) - 2 * decode_ms_) / per_token;
  return static_cast<int>(std::clamp(tokens, 0.0, static_cast<double>(most)));
}

int StepCost::prefill_budget(double target_ms, int max_batch_tokens) {
  if (pieces_.empty() && ms_per_bulk_token_ == 0) {
    planned_ms_ = 0;  // nothing was measured yet
    return std::min(kFirstPiece, max_batch_tokens);
  }
  const double planned_ms = planned(target_ms);
  const double tokens = tokens_within(planned_ms);
  planned_ms_ = tokens >= kMinPiece ? planned_ms : 0;
  return planned_tokens_ = budget(tokens, max_batch_tokens);
}

int StepCost::ending_budget(double target_ms, int max_batch_tokens) {
  ending_ms_ = target_ms;
  return budget(tokens_within(target_ms), max_batch_tokens);
}

double StepCost::tokens_within(double step_ms) const {
  const double room_ms = std::max(step_ms - decode_ms_, 0.0);
  const double tokens = pieces_.tokens_within(room_ms, ms_per_bulk_token_);
  return tokens == 0 && ms_per_bulk_token_ > 0 ? room_ms / (2 * ms_per_bulk_token_) : tokens;
}

}  // namespace zse
