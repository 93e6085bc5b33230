// Owns the decision how many drafted tokens a step checks, and for whom: as many as make tokens come sooner, by what such steps have taken and by
// how many of each stream's drafts were kept. Pure; decode thread.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "core/drafter.h"

namespace zse {

/**
 * Running estimate of what a pass over the weights takes that computes so many rows. It is no line: matrix kernels take rows in groups, and the first of
 * a group costs most of it. So each number of rows is measured by itself.
 */
class RowCost {
 public:
  /**
   * What was measured of more rows long ago is forgotten. Says by how much this was off what is known of so many: where the machine has become slower,
   * other numbers of rows have too, and what other models take.
   */
  double record(int rows, double ms);

  /** The machine has become slower by this, as far as one pass can tell. */
  void drift(double change);

  /** A row of a step that prefills, which tells what one more takes before any was tried. */
  void record_bulk(double ms_per_row);

  /** Milliseconds; 0: nothing is known yet. */
  double of(int rows) const;

  static constexpr int kMostRows = 320;

 private:
  // So many times what it should take by other rows is believed of a first pass.
  static constexpr double kBelieved = 1.5;
  // Passes after which more rows than those in use are forgotten: nobody tries again what one slow step has made dear.
  static constexpr int kFresh = 64;

  std::array<double, kMostRows + 1> ms_{};  // 0: not seen
  std::array<int, kMostRows + 1> seen_{};   // after how many passes
  int passes_ = 0;
  double ms_per_bulk_row_ = 0;
};

/** How one stream's drafts of one source did. */
class DraftRecord {
 public:
  explicit DraftRecord(double first_chance) : kept_(first_chance * kFirstTrials) {}

  /** Until something is recorded of this stream, what is known of others is taken for it. */
  void take_over(const DraftRecord& of_others);

  void record(int drafted, int kept);

  /** Whether something is recorded of this stream itself. */
  bool tried() const { return own_; }

  /** That the next drafted token is what the model says, if all before it were. */
  double chance() const;

  /** A draft was not worth a step's time. True now and then: a short one is tried nevertheless, since the text may have changed. */
  bool passed_over();

  /** It could not be tried in this step after all: in the next one, then. */
  void try_next() { passed_ = rest_; }

 private:
  static constexpr double kFirstTrials = 4;
  bool own_ = false;  // something is recorded
  double tried_ = kFirstTrials, kept_;
  int rest_ = 8, passed_ = 0;
};

/** What one stream has for the next step. */
struct DraftOffer {
  int tokens = 0;
  double chance = 0;
  /** The draft model has yet to guess them: a pass over its weights for each, of all such streams together. */
  bool by_model = false;
};

struct DraftChoice {
  std::vector<int> lengths;  // by offer
  double tokens_per_ms = 0;  // that come of such steps, of all streams together; 0: nothing is known yet

  bool any() const;
};

/**
 * How many tokens of each offer a step checks. `rows`: what it computes anyhow; `room`: how many more it may have. A step with them takes no longer
 * than `target_ms`, or twice as long as one without where that is more, as far as is known. `passes`: what the draft model takes for one token of each
 * of so many streams.
 */
DraftChoice choose_drafts(const std::vector<DraftOffer>& offers, int rows, int room, const RowCost& cost, double target_ms,
                          const RowCost& passes = {});

/** The same if whatever is drafted were kept: what is not worth it even then is not tried. */
DraftChoice choose_hopefully(std::vector<DraftOffer> offers, int rows, int room, const RowCost& cost, double target_ms,
                             const RowCost& passes);

/** Of a draft that is tried although it does not seem to be worth it. */
constexpr int kTrialDraft = 3;

}  // namespace zse
