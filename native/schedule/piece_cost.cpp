#include "piece_cost.h"

#include <algorithm>

namespace zse {

namespace {

// A machine that stops for a moment makes a piece look dear, and nothing makes one look cheap: what is dearer counts half, and twice the price at most.
constexpr double kCheaperCounts = 0.3;
constexpr double kDearerCounts = 0.15;
constexpr double kDearest = 2;

double follow(double ms, double sample) {
  return ms + (sample > ms ? kDearerCounts : kCheaperCounts) * (std::min(sample, kDearest * ms) - ms);
}

}  // namespace

void PieceCost::record(int tokens, double ms, double decode_ms) {
  pieces_++;
  const int point = std::clamp((tokens + kGroup - 1) / kGroup, 1, kPoints - 1);
  const double whole = ms * point * kGroup / tokens;  // of a piece that fills the group
  const double before = is_fresh(point) ? ms_[point] : 0;
  const int seen_before = seen_[point];
  ms_[point] = before > 0 ? follow(before, whole) : whole;
  seen_[point] = pieces_;
  // The machine is quicker or slower for all pieces: those that were measured before this one's last time follow. A longer piece costs no less, and a
  // shorter one no more.
  const double change = before > 0 ? ms_[point] / before : 1;
  for (int other = 1; other < kPoints; other++) {
    if (seen_[other] < seen_before) ms_[other] *= change;
    if (other < point) ms_[other] = std::min(ms_[other], ms_[point]);
    if (other > point) {
      // Two steps of half the piece do the same.
      const double in_steps = (decode_ms + ms_[point]) * other / point - decode_ms;
      ms_[other] = std::clamp(ms_[other], ms_[point], std::max(in_steps, ms_[point]));
    }
  }
}

double PieceCost::tokens_within(double ms, double ms_per_bulk_token) const {
  int last = 0;  // the last point that is known
  double ms_of_last = 0, slope = 0;
  for (int point = 1; point < kPoints; point++) {
    if (!is_fresh(point)) continue;
    slope = (ms_[point] - ms_of_last) / (point - last);
    if (ms_[point] > ms) return kGroup * (last + (ms - ms_of_last) / slope);
    last = point;
    ms_of_last = ms_[point];
  }
  if (last == 0) return 0;
  // Weights are read once for the step, so that the next group costs less than one of a batch by itself. Too little is put right as soon as it is tried.
  slope = std::max({last > 1 ? slope : 0, 0.8 * kGroup * ms_per_bulk_token, 1e-6});
  return kGroup * (last + (ms - ms_of_last) / slope);
}

}  // namespace zse
