// Owns with how many threads steps that only decode are computed where other programs take processor time. Pure; decode thread.
//
// All threads of a step wait for each other at each node of its graph. Where one has lost its core to another program, a token waits for it some hundred times:
// two threads beside one busy program were slower than one (docs/lab/threads-that-wait.md). Beside two they may be quicker, as each gets its share. So
// both numbers are tried, and the quicker one is kept.
#pragma once

namespace zse {

class ThreadChoice {
 public:
  /** Of at most so many; fewer than two are no choice. */
  explicit ThreadChoice(int most) : most_(most) {}

  bool chooses() const { return most_ > 1; }

  /** For the next step that only decodes. */
  int threads() const { return uses_fewer_ ? fewer_ : most_; }

  /**
   * A step has only decoded one token of each of so many streams, with threads(), and ended at `now_ms` of any clock. True: look() is wanted. It is not
   * often, as it costs a call of the system for each thread.
   */
  bool computed(int streams, double now_ms);

  /** `cpu_ms`: what all threads have had of processors so far. */
  void look(double cpu_ms, double now_ms);

  /** Something else took time since the last step: what was measured does not count. */
  void interrupted() { measures_ = false; }

 private:
  void judge(double share, double rate, double took_ms, double now_ms);
  void end_trial(double rate, double took_ms, double now_ms);
  int left_by_others(double share) const;
  void forget();

  const int most_;
  int fewer_ = 1;
  bool uses_fewer_ = false;

  // What is measured now.
  bool measures_ = false;
  int streams_ = 0, steps_ = 0;
  double since_ms_ = 0, cpu_since_ms_ = 0;

  double judged_ms_ = 0;  // when anything was measured last
  bool crowded_ = false;
  int low_ = 0, calm_ = 0;  // how often in a row all threads had little of the processors, and how often nearly all
  bool tries_ = false;      // what is used now is tried, beside what was used before
  double rate_ = 0;         // steps a millisecond of the number that was chosen; 0: not known yet
  double patience_ = 0;     // for how many times as long it is used before the other is tried
  double next_try_ms_ = 0;
};

}  // namespace zse
