#include "step_planner.h"

#include <algorithm>

#include "base/assert.h"

namespace zse {

StepPlan StepPlanner::plan(double spent_ms, const AbortCheck& abort) {
  StepPlan step;
  std::vector<PlanCandidate> candidates;
  for (Sequence* sequence : sequences_.active()) {
    if (sequence->loading) continue;
    admission_.put_back(*sequence);
    ZSE_ASSERT(admission_.agrees(*sequence), "what is computed goes on from what its slot holds");
    if (sequence->last_step == 0) admission_.keep_checkpoint(*sequence);
    candidates.push_back({step.runnable.size(), remaining(*sequence), sequence->last_step, sequence->arrival,
                          sequence->prompt.variant(), sequence->passed_over});
    step.runnable.push_back(sequence);
  }
  step.target_ms = options_.latency_target_ms - spent_ms;
  PlanLimits limits = this->limits(step.target_ms);
  // In steps that nothing else wants, and short ones: whoever comes meanwhile waits for the end of one. In deterministic mode a prompt's pieces are
  // the same whatever it is computed for.
  const auto ahead = [&](const PlanCandidate& candidate) { return step.runnable[candidate.index]->settings.prepares; };
  if (std::all_of(candidates.begin(), candidates.end(), ahead)) {
    if (!options_.deterministic) limits.max_batch_tokens = limits.prefill_budget;
  } else {
    candidates.erase(std::remove_if(candidates.begin(), candidates.end(), ahead), candidates.end());
  }
  step.pieces = plan_batch(candidates, limits);
  if (step.pieces.empty()) return step;
  end_at_checkpoints(step);
  for (PlanPiece& piece : step.pieces) piece.tokens = std::min(piece.tokens, admission_.until_moved(step.of(piece)));
  limit_rows(step);
  add_drafts(step, abort);
  // Where slots have buffers of their own, llama.cpp computes only neighbours in one pass over the weights.
  std::sort(step.pieces.begin(), step.pieces.end(),
            [&](const PlanPiece& a, const PlanPiece& b) { return step.of(a).slot < step.of(b).slot; });
  for (const PlanPiece& piece : step.pieces)
    (step.of(piece).prefilling() ? step.prefill_tokens : step.decode_tokens) += piece.tokens;
  step.joined_most = step.prefill_tokens > 0 && has_place_for_one() ? limits.ending_budget : 0;
  return step;
}

bool StepPlanner::joins(const StepPlan& step, int tokens, double elapsed_ms) const {
  return tokens <= step.joined_most &&
         cost_.is_joined(tokens, elapsed_ms, step.target_ms, step.decode_tokens > 0, step.prefill_tokens);
}

void StepPlanner::computed(const StepPlan& step, double ms) {
  number_++;
  for (Sequence* sequence : step.runnable) sequence->passed_over = true;
  for (const PlanPiece& piece : step.pieces) {
    step.of(piece).passed_over = false;
    step.of(piece).last_step = number_;
  }
  const bool drafted = step.prefill_tokens == 0 && step.decode_tokens > static_cast<int>(step.pieces.size());
  if (!drafted) cost_.record(step.decode_tokens, step.prefill_tokens, ms);
  drafts_.record(step.decode_tokens, step.prefill_tokens, ms);
}

// Streams that decode have a target for each step, so texts take what is left of it, and half of that where prompts want it, too. Where there is
// nothing left, they take the least that moves, in every second step: the others are as quick as without them. Prompts that nobody waits behind go
// first: theirs is the larger part of the time.
int StepPlanner::texts_budget(double spent_ms) {
  const bool prefilling = sequences_.count(SequenceState::kPrefilling) > 0;
  if (sequences_.count(SequenceState::kDecoding) == 0)
    return prefilling ? std::max(decoder_.max_batch_tokens() / 4, StepCost::kMinPiece) : INT_MAX;
  const int most = cost_.texts_budget(options_.latency_target_ms - spent_ms) / (prefilling ? 2 : 1);
  const bool has_room = most >= StepCost::kMinPiece;
  const bool skips = !has_room && embedded_without_room_;
  embedded_without_room_ = !has_room && !skips;
  return skips ? 0 : std::max(most, StepCost::kMinPiece);
}

void StepPlanner::embedded(int tokens, double ms) {
  if (tokens > 0) cost_.record_texts(sequences_.count(SequenceState::kDecoding) > 0, tokens, ms);
}

/**
 * Tokens that are still to be prefilled; 0: it decodes. In deterministic mode a reply that is computed again goes token by token, as it did the
 * first time: in pieces it would round differently.
 */
int StepPlanner::remaining(const Sequence& sequence) const {
  if (!sequence.prefilling()) return 0;
  const size_t total = options_.deterministic ? sequence.prompt.size() : sequence.to_prefill().size();
  return std::max(0, static_cast<int>(total) - sequence.in_cache - tokens_of(admission_.slots()[sequence.slot].aside));
}

PlanLimits StepPlanner::limits(double target_ms) {
  PlanLimits limits;
  limits.max_batch_tokens = decoder_.max_batch_tokens();
  limits.row_groups = decoder_.row_groups();
  limits.prefill_budget = cost_.prefill_budget(target_ms, limits.max_batch_tokens);
  limits.ending_budget = cost_.ending_budget(target_ms, limits.max_batch_tokens);
  limits.exclusive = options_.deterministic;
  limits.rows_alike = decoder_.rows_are_alike();
  return limits;
}

/** Whether a newcomer would be in the next step. In deterministic mode it would be computed alone, sometime. */
bool StepPlanner::has_place_for_one() const {
  if (options_.deterministic || sequences_.next_queued() || sequences_.next_returning()) return false;
  return admission_.free_slots() > 0;
}

/** A slot can be cut later where a step has ended. Not in deterministic mode: its pieces end where its places are. */
void StepPlanner::end_at_checkpoints(StepPlan& step) const {
  if (!has_checkpoints(decoder_) || options_.deterministic) return;
  for (PlanPiece& piece : step.pieces) piece.tokens = std::min(piece.tokens, admission_.until_checkpoint(step.of(piece)));
}

/**
 * Each token that is replayed, or of a prompt that is told, has a row of logits beside the one that every stream may have, and there is room for
 * few of those.
 */
void StepPlanner::limit_rows(StepPlan& step) const {
  int spare = decoder_.max_outputs() - static_cast<int>(step.pieces.size());
  for (PlanPiece& piece : step.pieces) {
    const Sequence& sequence = step.of(piece);
    if (!sequence.prefilling() || (sequence.with_replay.empty() && !sequence.tells_prompt())) continue;
    const int before = std::max(0, static_cast<int>(sequence.prompt.size()) - 1 - sequence.in_cache);
    const int without = sequence.tells_prompt() ? 0 : before;
    if (piece.tokens <= without) continue;
    const int rows = std::min(piece.tokens - without, 1 + spare);
    spare -= rows - 1;
    piece.tokens = without + rows;
  }
}

// Drafts for streams, in a step that decodes alone: beside pieces of prompts, which take what the step has of time, nothing is drafted. In deterministic
// mode a stream has one token in a step, since several would round differently.
void StepPlanner::add_drafts(StepPlan& step, const AbortCheck& abort) {
  drafts_.begin_step();
  if (options_.deterministic || drafts_.off()) return;
  const auto prefills = [&](const PlanPiece& piece) { return step.of(piece).prefilling(); };
  if (std::any_of(step.pieces.begin(), step.pieces.end(), prefills)) {
    for (const PlanPiece& piece : step.pieces) step.of(piece).draft.clear();
  } else {
    drafts_.add(step.runnable, step.pieces, admission_.slots(), step.target_ms, abort);
  }
}

}  // namespace zse
