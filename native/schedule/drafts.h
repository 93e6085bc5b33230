// Owns what a step checks of tokens that are guessed ahead, for each of its streams: asks what each one is guessed from, pays for the draft model, and
// learns what both take. Decode thread only.
#pragma once

#include <vector>

#include "batch_planner.h"
#include "core/decoder.h"
#include "core/draft_model.h"
#include "core/ids.h"
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
    int behind = 0;          // tokens that the draft model has to read first
    bool is_wanted = false;  // to be read, so that it can be guessed for
    int length = 0;          // tokens that are drafted in this step
  };
  /** What one step may draft. */
  struct Room {
    int rows;  // that it computes anyhow
    int more;
    double target_ms;
  };

  int trial_of(const DraftOffer& offer) const;
  static Candidate* least_behind(std::vector<Candidate>& candidates);
  Candidate candidate(Sequence& sequence, PlanPiece& piece, const KvSlots& slots, int room);
  DraftWish wish(const Candidate& candidate, const KvSlots& slots, int most) const;

  bool is_ready(const Candidate& candidate) const;
  /** What is worth it of what can be drafted at once. */
  DraftChoice choose(std::vector<Candidate>& candidates, const Room& room) const;
  /** Whether what `all` would gain by streams that are not read yet is worth reading them. */
  bool repays(const std::vector<Candidate>& candidates, const DraftChoice& now, const DraftChoice& all) const;
  /** What did not seem worth it is tried now and then, since the text may have changed; and each prediction once, whatever it seems. */
  void try_lookups(std::vector<Candidate>& candidates, const DraftChoice& hopeful, const Room& room);
  /** The same of the draft model, of one stream at a time: what comes of it is known of the others. Null: nothing is tried in this step. */
  Candidate* next_try(std::vector<Candidate>& candidates, const DraftChoice& hopeful);
  /** Whether, after ever more steps for which nothing could be worth it, something is tried all the same. */
  bool doubts(const DraftChoice& hopeful);

  /** Lets the draft model read those that are wanted, as far as the step has time for it; and says how long that took. */
  double read(std::vector<Candidate>& candidates, const KvSlots& slots, const Room& room, const AbortCheck& abort);
  double reading_ms(int tokens) const;
  int readable_within(double ms, int most) const;
  double guess(std::vector<Candidate>& candidates, const KvSlots& slots, const AbortCheck& abort);

  const Decoder& decoder_;
  DraftModel* const model_;
  const int most_;
  RowCost rows_;                         // of a step
  RowCost passes_;                       // of the draft model, one token for each of so many streams
  RowCost reads_;                        // of the draft model, so many tokens
  std::vector<ComputedReply> computed_;  // of the step under way
  double following_ms_ = 0;              // that what guesses took to follow the last step
  DraftRecord of_model_;                 // how the draft model did, for streams of which nothing is known yet
  StreamId trying_ = 0;                  // the stream that it is tried for, as soon as it has read that; 0: none
  StreamId tried_ = 0;                   // the one that it was tried for in this step
  double tried_ms_ = 0;                  // what that took, but for reading
  bool came_ = false;                    // of the last try, most
  int untried_ = 0;                      // steps on end that it was not tried in, where it might be
  double debt_ms_ = 0;                   // that tries took, and that steps have yet to make up for
  int doubted_ = 0;                      // steps on end for which no draft seemed worth it
  int doubts_;                           // after so many, one is tried
};

}  // namespace zse
