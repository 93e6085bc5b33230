// Owns what a step checks of tokens that are guessed ahead, for each of its streams: asks what each one is guessed from, pays for the draft model, and
// learns what both take. Decode thread only.
#pragma once

#include <vector>

#include "batch_planner.h"
#include "core/decoder.h"
#include "core/draft_model.h"
#include "kv/kv_slots.h"
#include "sequence.h"
#include "speculation.h"

namespace zse {

class Drafts {
 public:
  /** `most`: drafted tokens of a step, of all streams together; 0: nothing is drafted. `model`: null without a draft model. */
  Drafts(const Decoder& decoder, DraftModel* model, int most);

  bool off() const { return most_ == 0; }

  /**
   * Drafts for the streams of a plan, which all decode, where a step is quicker with them: a piece's tokens are then those of its draft, and one. Such
   * a step ends within `target_ms` by an estimate, with what the drafts themselves take.
   */
  void add(const std::vector<Sequence*>& runnable, std::vector<PlanPiece>& plan, const KvSlots& slots, double target_ms,
           const AbortCheck& abort);

  /** So many tokens of a stream's draft came. */
  void learn(Sequence& sequence, int drafted, int kept);

  /** What is left of a step that failed is forgotten. */
  void begin_step() { computed_.clear(); }
  /** Of a stream that goes on, the rows of the step under way that were kept. */
  void kept(SlotId slot, size_t index, int tokens);
  /** All of them are told. */
  void end_step(const KvSlots& slots, const AbortCheck& abort);

  /** A step has taken so long. `decode_tokens`: rows of streams that decode, their drafts among them. */
  void record(int decode_tokens, int prefill_tokens, double ms);

 private:
  struct Candidate {
    PlanPiece* piece;
    Sequence* sequence;
    DraftOffer offer = {};
    int behind = 0;  // tokens that the draft model has to read first
  };

  int trial_of(const DraftOffer& offer) const;
  static const Candidate* least_behind(const std::vector<Candidate>& candidates);
  Candidate candidate(Sequence& sequence, PlanPiece& piece, const KvSlots& slots, int room);
  DraftWish wish(const Candidate& candidate, const KvSlots& slots, int most) const;
  /** What the draft model has to read before it can draft, as far as the step has time for it. Who is not read then drafts nothing. */
  void read(std::vector<Candidate>& candidates, std::vector<int>& lengths, const KvSlots& slots, double target_ms,
            const AbortCheck& abort);
  void guess(std::vector<Candidate>& candidates, const std::vector<int>& lengths, const KvSlots& slots,
             const AbortCheck& abort);

  const Decoder& decoder_;
  DraftModel* const model_;
  const int most_;
  RowCost rows_;    // of a step
  RowCost passes_;  // of the draft model, one token for each of so many streams
  double ms_per_read_token_ = 0;
  std::vector<ComputedReply> computed_;  // of the step under way
  double following_ms_ = 0;              // that what guesses took to follow the last step
  DraftRecord of_model_;                 // how the draft model did, for streams of which nothing is known yet
  int doubted_ = 0;                      // steps on end for which no draft seemed worth it
  int doubts_;                           // after so many, one is tried
};

}  // namespace zse
