#include "unevenness.h"

#include <algorithm>

namespace zse {

namespace {

// Readers notice the longest step. So much of the target may the longest of late take, were it planned anew.
constexpr double kLongest = 1.04;

// Of the target, at least and at most, as far as steps vary by a part.
constexpr double kLeast = 0.72, kMost = 0.95;

// A step that took so much longer than planned may have been stopped; more is not taken for its variation. And what is left of that after each step.
constexpr double kMostExcess = 0.45, kExcessLeft = 0.997;

// No plan helps against longer stops, as a part of the step. What is left of one after each step, and after how many a second one is the first again.
constexpr double kLongestStop = 1.5, kStopLeft = 0.999;
constexpr int kComesAgain = 300;

}  // namespace

void Unevenness::record(double planned_ms, double ms) {
  const double excess = ms / planned_ms - 1;
  excess_ = std::max(excess_ * kExcessLeft, std::min(excess, kMostExcess));
  const bool is_long = excess > kMostExcess;
  stop_ms_ *= kStopLeft;
  since_stop_++;
  if (maybe_ms_ > 0 && !is_long) {
    if (since_stop_ <= kComesAgain) stop_ms_ = std::max({stop_ms_, maybe_ms_, single_ms_});
    single_ms_ = maybe_ms_;
    since_stop_ = 0;
  }
  maybe_ms_ = is_long && !was_long_ && excess < kLongestStop ? ms - planned_ms : 0;
  was_long_ = is_long;
}

double Unevenness::planned(double target_ms, double least_ms) const {
  const double varied = target_ms * std::clamp(kLongest / (1 + excess_), kLeast, kMost);
  return std::min(varied, std::max(kLongest * target_ms - stop_ms_, least_ms));
}

}  // namespace zse
