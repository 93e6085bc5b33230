// Owns what the next step computes: which sequences, how many tokens of each, what is drafted, and which newcomer has it begun anew. batch_planner has
// the rules; here is what they have to know of slots, checkpoints, rows of logits and costs. Decode thread.
#pragma once

#include <climits>
#include <vector>

#include "admission.h"
#include "batch_planner.h"
#include "core/decoder.h"
#include "drafts.h"
#include "sequence.h"
#include "sequences.h"

namespace zse {

/** A step as it is planned. */
struct StepPlan {
  std::vector<Sequence*> runnable;  // all that could take part
  std::vector<PlanPiece> pieces;    // by their places among those, in the order of the batch
  int decode_tokens = 0;            // drafts included
  int prefill_tokens = 0;
  double target_ms = 0;
  int joined_most = 0;  // tokens of a newcomer that has the step begun anew; 0: nobody does

  Sequence& of(const PlanPiece& piece) const { return *runnable[piece.index]; }
};

class StepPlanner {
 public:
  struct Options {
    double latency_target_ms;
    bool deterministic;
  };

  StepPlanner(const Decoder& decoder, Sequences& sequences, Admission& admission, Drafts& drafts, Options options)
      : decoder_(decoder),
        sequences_(sequences),
        admission_(admission),
        drafts_(drafts),
        options_(options),
        cost_(decoder.row_groups()) {}

  /** `spent_ms`: what the copies before the step took of its time, and the texts. No pieces: there is nothing to compute. `abort`: ends drafting early. */
  StepPlan plan(double spent_ms, const AbortCheck& abort);

  /** Whether a prompt of `tokens` that has come so long after the step has begun has it begun anew. */
  bool joins(const StepPlan& step, int tokens, double elapsed_ms) const;

  /** It was computed, in so long. */
  void computed(const StepPlan& step, double ms);

  /** Tokens of texts that the next step may embed; 0: none, so that others are as quick as without them. `spent_ms`: as above. */
  int texts_budget(double spent_ms);
  /** A piece of them took so long. */
  void embedded(int tokens, double ms);

  /** The model's memory can be cut at checkpoints alone. */
  static bool has_checkpoints(const Decoder& decoder) { return !decoder.can_cut() || decoder.window() != INT_MAX; }

 private:
  int remaining(const Sequence& sequence) const;
  PlanLimits limits(double target_ms);
  bool has_place_for_one() const;
  void end_at_checkpoints(StepPlan& step) const;
  void limit_rows(StepPlan& step) const;
  void add_drafts(StepPlan& step, const AbortCheck& abort);

  const Decoder& decoder_;
  Sequences& sequences_;
  Admission& admission_;
  Drafts& drafts_;
  const Options options_;
  StepCost cost_;
  uint64_t number_ = 0;                 // of steps that were computed
  bool embedded_without_room_ = false;  // in the step before
};

}  // namespace zse
