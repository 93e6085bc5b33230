// Owns what pieces of prompts cost beside decoding streams: a curve of milliseconds over tokens, learned from the steps that were measured. Pure;
// decode thread.
#pragma once

#include <array>

namespace zse {

/**
 * It is no line. A step that decodes waits for memory, and its first few prompt tokens fill that time; later ones cost what they take to be
 * multiplied, in whole groups of rows. One price for all tokens swings between pieces that are too small and too large.
 */
class PieceCost {
 public:
  /** A piece of `tokens` made a step `ms` longer, which takes `decode_ms` without one. */
  void record(int tokens, double ms, double decode_ms);

  bool empty() const { return pieces_ == 0; }

  /** Tokens that make a step `ms` longer at most; more than were ever measured cost most of `ms_per_bulk_token` each at least. 0: nothing was measured. */
  double tokens_within(double ms, double ms_per_bulk_token) const;

 private:
  static constexpr int kGroup =
      8;  // tokens from one point of the curve to the next: rows that the matrix kernels take at once
  static constexpr int kPoints = 65;  // the first is no piece at all
  static constexpr int kFresh =
      1024;  // pieces after which a point is forgotten: it may have been measured while the machine was busy

  bool is_fresh(int point) const { return seen_[point] > 0 && pieces_ - seen_[point] < kFresh; }

  std::array<double, kPoints> ms_{};
  std::array<int, kPoints> seen_{};  // after how many pieces; 0: never
  int pieces_ = 0;
};

}  // namespace zse
