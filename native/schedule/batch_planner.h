// Owns the decision what goes into the next step: one token for every decoding sequence, then prompt tokens in pieces, so
// that the step stays near the latency target while anybody is reading. Pure; decode thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/row_groups.h"
#include "piece_cost.h"
#include "unevenness.h"

namespace zse {

// Pieces of a prompt in deterministic mode: always the same cut, whatever else is going on.
constexpr int kExclusivePiece = 256;

struct PlanCandidate {
  size_t index = 0;          // the caller's name for the sequence
  int remaining = 0;         // prompt tokens not computed yet; 0: decoding
  uint64_t last_step = 0;    // the last step it took part in (0: none); the oldest goes first where only one can go
  uint64_t arrival = 0;      // order of admission
  uint64_t variant = 0;      // of the model, that computes it: a step has one alone
  bool passed_over = false;  // the step before had nothing of it
};

struct PlanPiece {
  size_t index = 0;
  int tokens = 0;
};

struct PlanLimits {
  int max_batch_tokens = 512;
  int prefill_budget = 512;  // prompt tokens in the step while others decode; unlimited when nobody does
  bool exclusive = false;    // one sequence a step, prompts in fixed pieces (deterministic mode)
  RowGroups row_groups;      // whole ones of a step, the last of which may be a little over the budget
  int ending_budget = 0;     // prompt tokens in a step in which prompts end, where it is more than prefill_budget
  bool rows_alike = false;   // all that decode may share a step though it is exclusive: none changes another's rounding
};

/**
 * Decoding sequences come first, one token each. What is left of the batch (and, while anybody decodes, of the budget) is
 * shared among the prompts: the one that waits longest gets at least a quarter, so that none starves; the rest goes to
 * the shortest remaining first, so that a short prompt does not wait behind a long one. Where some can end and the one that waits longest cannot, the step is
 * for them alone and no longer than they need, unless the last one passed that one over. While nobody decodes, many prompts of similar length that
 * a few batches hold end together.
 *
 * Where candidates want several variants of the model, a step is for that of the candidate that has waited longest: so they take turns. What decodes
 * in another one's step keeps its prompts within the budget, too.
 *
 * An exclusive step is for the candidate that has waited longest, alone; or, if it decodes and rows are alike, for all that decode.
 */
std::vector<PlanPiece> plan_batch(const std::vector<PlanCandidate>& candidates, const PlanLimits& limits);

/**
 * Running estimate of what a step costs, for the prefill budget: milliseconds of a step that only decodes, and of a piece of a prompt on
 * top of it. A token of a small piece costs more than one of a whole batch, so steps that only prefill are kept apart: until
 * a step has done both, a token beside decoding streams is taken for twice as dear.
 */
class StepCost {
 public:
  /** `groups`: those that a step's rows fill. */
  explicit StepCost(RowGroups groups = {}) : over_(groups.over()) {}

  void record(int decode_tokens, int prefill_tokens, double ms);

  /** A piece of texts whose vectors are wanted; `decoding`: beside streams that decode. */
  void record_texts(bool decoding, int tokens, double ms);

  /**
   * Tokens of such a piece that fit into `target_ms` together with a step that decodes: each takes a pass over the weights. Fewer than kMinPiece:
   * there is no room.
   */
  int texts_budget(double target_ms) const;

  /**
   * Prompt tokens that fit into a step of `target_ms` beside the decoding ones; at least kMinPiece, so that prompts move. The next step that is recorded
   * is taken for one that was planned so.
   */
  int prefill_budget(double target_ms, int max_batch_tokens);

  /**
   * The same if all of the target is used: where a prompt ends with it, which has its first token a whole step sooner. A step that is recorded with more
   * than prefill_budget() gave was planned so.
   */
  int ending_budget(double target_ms, int max_batch_tokens);

  /**
   * Whether a prompt of `tokens` that comes so long after a step of `prefill_tokens` has begun is worth beginning it anew: if little is lost, and readers
   * have their tokens by the target and a little all the same.
   */
  bool is_joined(int tokens, double elapsed_ms, double target_ms, bool decoding, int prefill_tokens) const;

  static constexpr int kMinPiece = 8;

 private:
  /** Milliseconds that a step is planned to take. */
  double planned(double target_ms) const;
  /** Prompt tokens that make a step last so long; 0: there is no room, or nothing is known. */
  double tokens_within(double step_ms) const;

  Unevenness unevenness_;
  const int over_;
  double planned_ms_ = 0;         // of the step under way; 0: it is as long as it must be
  int planned_tokens_ = 0;        // of prompts, in so long
  double ending_ms_ = 0;          // of the step under way if prompts end in it, for which it has more tokens
  double decode_ms_ = 0;          // 0: not seen yet
  PieceCost pieces_;              // beside decoding streams
  double ms_per_bulk_token_ = 0;  // of steps that only prefill; 0: not seen yet
  double ms_per_text_token_ = 0;  // of texts, beside decoding streams; 0: not seen yet
  double ms_per_lone_text_token_ = 0;
  int last_texts_ = 0;  // tokens of the last piece of them beside decoding streams
};

}  // namespace zse
