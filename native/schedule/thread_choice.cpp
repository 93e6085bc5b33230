#include "thread_choice.h"

#include <algorithm>
#include <cmath>

namespace zse {

namespace {

constexpr double kMeasuredMs = 25;  // at least: some time slices of the system's
constexpr int kMeasuredSteps = 2;   // at least

// Parts of all processor time that the threads could have had. Where no other program runs they have all but a few hundredths.
constexpr double kCrowded = 0.85, kCalm = 0.93;
constexpr int kLowBefore = 2, kCalmBefore = 3;

constexpr double kGain = 1.05;  // for which fewer are taken: more of them are sooner back at full speed
constexpr double kLeastPatience = 4, kMostPatience = 16, kLeastWaitMs = 250, kMostWaitMs = 5000;

}  // namespace

bool ThreadChoice::computed(int streams, double now_ms) {
  if (most_ < 2) return false;
  if (streams != streams_) {  // steps of another length
    measures_ = tries_ = false;
    rate_ = 0;
    streams_ = streams;
  }
  if (!measures_) return true;
  steps_++;
  return steps_ >= kMeasuredSteps && now_ms - since_ms_ >= kMeasuredMs;
}

void ThreadChoice::look(double cpu_ms, double now_ms) {
  if (measures_) {
    const double took_ms = now_ms - since_ms_;
    const double share = (cpu_ms - cpu_since_ms_) / (took_ms * most_);
    if (crowded_)
      look_while_crowded(share, steps_ / took_ms, took_ms, now_ms);
    else
      look_while_quiet(share);
  }
  measures_ = true;
  steps_ = 0;
  since_ms_ = now_ms;
  cpu_since_ms_ = cpu_ms;
}

void ThreadChoice::look_while_quiet(double share) {
  low_ = share < kCrowded ? low_ + 1 : 0;
  if (low_ < kLowBefore) return;
  crowded_ = true;
  low_ = calm_ = 0;
  const int taken = std::max(1, static_cast<int>(std::lround(most_ * (1 - share))));
  fewer_ = std::max(1, most_ - taken);
  rate_ = 0;
  patience_ = kLeastPatience;
}

void ThreadChoice::look_while_crowded(double share, double rate, double took_ms, double now_ms) {
  if (!uses_fewer_) {
    calm_ = share > kCalm ? calm_ + 1 : 0;
    if (calm_ >= kCalmBefore) {
      crowded_ = tries_ = false;
      return;
    }
  }
  if (tries_) {
    tries_ = false;
    const bool better = rate > rate_ * (uses_fewer_ ? kGain : 1);
    patience_ = better ? kLeastPatience : std::min(2 * patience_, kMostPatience);
    if (better)
      rate_ = rate;
    else
      uses_fewer_ = !uses_fewer_;
    next_try_ms_ = now_ms + std::clamp(patience_ * took_ms, kLeastWaitMs, kMostWaitMs);
    return;
  }
  const bool first = rate_ == 0;
  rate_ = first ? rate : (rate_ + rate) / 2;
  if (!first && now_ms < next_try_ms_) return;
  tries_ = true;
  uses_fewer_ = !uses_fewer_;
}

}  // namespace zse
