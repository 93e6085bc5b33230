#include "speculation.h"

#include <algorithm>
#include <cmath>

namespace zse {

namespace {

// What a step with drafts must gain by the estimates, which are not exact.
constexpr double kLeastGain = 1.03;

// Nothing is certain: more tokens than this makes likely are never drafted.
constexpr double kBestChance = 0.98;

// A token that is less likely to be kept than this is not worth the noise of the estimates.
constexpr double kLeastChance = 0.12;

// Of what is known of a stream's drafts when one more token was tried: texts change.
constexpr double kMemory = 0.94;

constexpr int kLongestRest = 256;

// Where a step without drafts takes as long as the target, or nearly, one with them may take so many times as long: otherwise the models for which
// tokens are dearest would never draft.
constexpr double kMostOfBare = 2;

// Of what a pass tells of its own rows, and of all others.
constexpr double kOwnWeight = 0.2, kOthersWeight = 0.15;

}  // namespace

double RowCost::record(int rows, double ms) {
  if (rows < 1 || rows > kMostRows) return 0;
  passes_++;
  for (int other = rows + 1; other <= kMostRows; other++) {
    if (passes_ - seen_[other] > kFresh) ms_[other] = 0;
  }
  seen_[rows] = passes_;
  double& known = ms_[rows];
  if (known == 0) {
    const double expected = ms_per_bulk_row_ > 0 ? of(rows) : 0;
    known = expected > 0 ? std::min(ms, kBelieved * expected) : ms;
    return 0;
  }
  // A machine that slept, or had other work, tells nothing of the rows.
  const double change = std::clamp(ms / known, 1.0 / 3, 3.0) - 1;
  const double own = known * (1 + kOwnWeight * change);
  drift(change);
  known = own;
  return change;
}

void RowCost::drift(double change) {
  for (double& ms : ms_) ms *= 1 + kOthersWeight * change;
}

void RowCost::record_bulk(double ms_per_row) {
  ms_per_bulk_row_ = ms_per_bulk_row_ == 0 ? ms_per_row : std::min(ms_per_bulk_row_, ms_per_row);
}

// More rows never take less, so that one that was slow once is not taken for dear when more of them have been quick.
double RowCost::of(int rows) const {
  int below = 0, above = 0;
  double above_ms = 0;
  for (int i = kMostRows; i > rows; i--) {
    if (ms_[i] == 0) continue;
    above = i;
    above_ms = above_ms == 0 ? ms_[i] : std::min(above_ms, ms_[i]);
  }
  for (int i = std::min(rows, kMostRows); i > 0 && below == 0; i--) {
    if (ms_[i] != 0) below = i;
  }
  if (below == 0) return above_ms;
  const double below_ms = above == 0 ? ms_[below] : std::min(ms_[below], above_ms);
  if (below == rows) return below_ms;
  if (above == 0) {
    const double each = ms_per_bulk_row_ > 0 ? ms_per_bulk_row_ : below_ms / (2 * below);
    return below_ms + each * (rows - below);
  }
  return below_ms + (above_ms - below_ms) * (rows - below) / (above - below);
}

void DraftRecord::record(int drafted, int kept) {
  own_ = true;
  const int trials = kept < drafted ? kept + 1 : kept;
  const double memory = std::pow(kMemory, trials);
  tried_ = tried_ * memory + trials;
  kept_ = kept_ * memory + kept;
  passed_ = 0;
  if (2 * kept >= drafted) {
    rest_ = 8;
  } else if (kept == 0) {
    rest_ = std::min(2 * rest_, kLongestRest);
  }
}

void DraftRecord::take_over(const DraftRecord& of_others) {
  if (own_) return;
  tried_ = kFirstTrials;
  kept_ = of_others.chance() * kFirstTrials;
  rest_ = of_others.rest_;
}

double DraftRecord::chance() const { return std::min(kBestChance, kept_ / tried_); }

bool DraftRecord::passed_over() {
  if (++passed_ < rest_) return false;
  passed_ = 0;
  return true;
}

bool DraftChoice::any() const {
  return std::any_of(lengths.begin(), lengths.end(), [](int length) { return length > 0; });
}

DraftChoice choose_drafts(const std::vector<DraftOffer>& offers, int rows, int room, const RowCost& cost, double target_ms,
                          const RowCost& passes) {
  DraftChoice chosen{std::vector<int>(offers.size(), 0)};
  const double without = cost.of(rows);
  if (without == 0) return chosen;
  chosen.tokens_per_ms = rows / without;

  target_ms = std::max(target_ms, kMostOfBare * without);

  std::vector<double> next(offers.size());  // that one token more of it is kept
  for (size_t i = 0; i < offers.size(); i++) next[i] = offers[i].chance;
  std::vector<int> lengths(offers.size(), 0);
  // The draft model's tokens, by their places in the drafts.
  std::vector<int> guessed(static_cast<size_t>(std::max(0, room)) + 1, 0);
  double best = kLeastGain * rows / without, expected = rows, guessing_ms = 0;
  for (int added = 1; added <= room; added++) {
    size_t likeliest = offers.size();
    for (size_t i = 0; i < offers.size(); i++) {
      if (lengths[i] < offers[i].tokens && (likeliest == offers.size() || next[i] > next[likeliest])) likeliest = i;
    }
    if (likeliest == offers.size() || next[likeliest] < kLeastChance) break;
    lengths[likeliest]++;
    if (offers[likeliest].by_model) {
      int& streams = guessed[static_cast<size_t>(lengths[likeliest])];
      guessing_ms += passes.of(streams + 1) - (streams > 0 ? passes.of(streams) : 0);
      streams++;
    }
    expected += next[likeliest];
    next[likeliest] *= offers[likeliest].chance;
    const double ms = cost.of(rows + added) + guessing_ms;
    if (ms > target_ms) break;
    if (expected / ms <= best) continue;
    best = expected / ms;
    chosen = {lengths, best};
  }
  return chosen;
}

DraftChoice choose_hopefully(std::vector<DraftOffer> offers, int rows, int room, const RowCost& cost, double target_ms,
                             const RowCost& passes) {
  for (DraftOffer& offer : offers) offer.chance = kBestChance;
  return choose_drafts(offers, rows, room, cost, target_ms, passes);
}

}  // namespace zse
