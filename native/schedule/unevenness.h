// Owns how much longer than planned steps take on this machine of late, and so how long one may be planned that keeps to a time all the same. Pure;
// decode thread.
#pragma once

namespace zse {

/**
 * Two kinds of it. Steps vary by a part of their time. And a virtual machine's host takes its processors away now and then, for tens of milliseconds
 * however short the step is. A step that is much longer than planned tells of a stop where those around it are not. It is a stop of the kind that
 * comes again if a second one follows within a few hundred steps. Otherwise it is a busy moment, after which nothing is to be expected.
 */
class Unevenness {
 public:
  /** A step was planned to take so long, and took so long. */
  void record(double planned_ms, double ms);

  /**
   * What a step may be planned to take, so that the longest ones of late would have ended within `target_ms` and a little. Stops make it no less than
   * `least_ms`.
   */
  double planned(double target_ms, double least_ms) const;

 private:
  // How much longer than planned the longest of the last steps took, as a part; older ones count less and less. The first is a guess.
  double excess_ = 0.25;
  double stop_ms_ = 0;     // of the longest stop of late; 0: none came again
  double maybe_ms_ = 0;    // of the step before, if it may have been one: the next tells
  double single_ms_ = 0;   // of the last one
  bool was_long_ = false;  // the step before took much longer than planned
  int since_stop_ = 1000;  // steps
};

}  // namespace zse
