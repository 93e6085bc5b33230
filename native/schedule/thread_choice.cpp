#include "thread_choice.h"

#include <algorithm>
#include <cmath>

namespace zse {

namespace {

constexpr double kMeasuredMs = 25;  // at least: some time slices of the system's
constexpr int kMeasuredSteps = 2;   // at least
constexpr double kForgetMs = 5000;  // without anything measured

// Parts of all processor time that the threads could have had. Where no other program runs they have all but a few hundredths.
constexpr double kCrowded = 0.85, kCalm = 0.88;
constexpr int kLowBefore = 2, kCalmBefore = 3;

constexpr double kGain = 1.05;  // for which fewer are taken: more of them are sooner back at full speed
constexpr double kLeastPatience = 4, kMostPatience = 16, kLeastWaitMs = 250, kMostWaitMs = 5000;

// How many numbers of threads there are to try: each may have a pool of its own.
constexpr int kNumbers = 8;

}  // namespace

bool ThreadChoice::computed(int streams, double now_ms) {
  if (!chooses()) return false;
  if (uses_fewer_ && now_ms - judged_ms_ > kForgetMs) forget();
  if (streams != streams_) {  // steps of another length
    if (tries_) uses_fewer_ = !uses_fewer_;
    measures_ = tries_ = false;
    rate_ = 0;
    streams_ = streams;
  }
  if (!measures_) return true;
  steps_++;
  return steps_ >= kMeasuredSteps && now_ms - since_ms_ >= kMeasuredMs;
}

void ThreadChoice::look(double cpu_ms, double now_ms) {
  const double took_ms = now_ms - since_ms_;
  if (measures_ && steps_ > 0 && took_ms > 0) {
    judge((cpu_ms - cpu_since_ms_) / (took_ms * most_), steps_ / took_ms, took_ms, now_ms);
    judged_ms_ = now_ms;
  }
  measures_ = true;
  steps_ = 0;
  since_ms_ = now_ms;
  cpu_since_ms_ = cpu_ms;
}

void ThreadChoice::judge(double share, double rate, double took_ms, double now_ms) {
  if (!uses_fewer_) {
    low_ = share < kCrowded ? low_ + 1 : 0;
    calm_ = share > kCalm ? calm_ + 1 : 0;
    if (crowded_ && calm_ >= kCalmBefore) return forget();
    if (!crowded_ && low_ < kLowBefore) return;
    if (!crowded_) patience_ = kLeastPatience;
    crowded_ = true;
  }
  if (tries_) {
    const bool tried_all = !uses_fewer_;
    end_trial(rate, took_ms, now_ms);
    if (tried_all && uses_fewer_ && fewer_ != left_by_others(share)) {  // what others take has changed
      fewer_ = left_by_others(share);
      rate_ = 0;
    }
    return;
  }
  const bool first = rate_ == 0;
  rate_ = first ? rate : (rate_ + rate) / 2;
  if (!first && now_ms < next_try_ms_) return;
  tries_ = true;
  if (!uses_fewer_) fewer_ = left_by_others(share);
  uses_fewer_ = !uses_fewer_;
}

void ThreadChoice::end_trial(double rate, double took_ms, double now_ms) {
  tries_ = false;
  const bool better = rate > rate_ * (uses_fewer_ ? kGain : 1);
  patience_ = better ? kLeastPatience : std::min(2 * patience_, kMostPatience);
  if (better)
    rate_ = rate;
  else
    uses_fewer_ = !uses_fewer_;
  next_try_ms_ = now_ms + std::clamp(patience_ * took_ms, kLeastWaitMs, kMostWaitMs);
}

// As many as the others leave, in steps that are not too many.
int ThreadChoice::left_by_others(double share) const {
  const int step = (most_ + kNumbers - 1) / kNumbers;
  const int taken = std::max(1, static_cast<int>(std::lround(most_ * (1 - share))));
  return std::max((most_ - taken) / step * step, 1);
}

void ThreadChoice::forget() {
  crowded_ = tries_ = uses_fewer_ = measures_ = false;
  low_ = calm_ = 0;
  rate_ = 0;
}

}  // namespace zse
