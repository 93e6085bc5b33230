// Owns what a row's squares sum up to, for its norm. Pure; any thread. Called by our patch to ggml's RMS norm, which adds one after the other.
#pragma once

#include <cstdint>

namespace zse::kernels {

/**
 * Each square is rounded to a float and added as a double, as ggml does it, but sixteen sums are under way at once, which compilers put into registers as wide as
 * there are. Every level of instructions adds in the same order. Six times as quick (docs/lab/matrix-products.md).
 */
static inline double sum_of_squares(const float* of, int64_t count) {
  constexpr int kSums = 16;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums)
    for (int k = 0; k < kSums; k++) sums[k] += static_cast<double>(of[i + k] * of[i + k]);
  for (int k = 0; i < count; i++, k++) sums[k] += static_cast<double>(of[i] * of[i]);
  for (int half = kSums / 2; half > 0; half /= 2)
    for (int k = 0; k < half; k++) sums[k] += sums[k + half];
  return sums[0];
}

}  // namespace zse::kernels
