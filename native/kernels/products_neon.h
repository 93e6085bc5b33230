// Owns the sums of products of bytes on ARM, for each level of lanes_neon.h; what products_x86.h owns elsewhere. Pure; any thread.
#pragma once

#include "products_rows.h"

#ifdef ZSE_LANES_NEON

namespace zse::kernels {

#ifdef ZSE_LANES_MATRIX

// Two rows of weights, one after the other, by two of activations, `row` and the one after.
struct Tile {
  int row, half;
  Ints whole(const int32_t* of_rows) const { return twice(of_rows + row); }
  Floats numbers(const float* of_rows) const { return vreinterpretq_f32_s32(twice(of_rows + row)); }
  Floats weights(Floats of_lanes) const { return half ? vzip2q_f32(of_lanes, of_lanes) : vzip1q_f32(of_lanes, of_lanes); }
  int sums() const { return row + half; }
};

/** `then(part, products)` for each register of sums: what `begin` says for it, and the products of columns. */
template <int n, int groups, int most, class Begin, class Then>
ZSE_INLINE void for_products(const Ints* w, const Together<n>& a, int first, Begin begin, Then then) {
#pragma GCC unroll 8
  for (int row = 0; row + 1 < n; row += 2) {
    const int8_t* values = a.values[row] + 2 * first;
    int8x16_t eights[groups / 2];
#pragma GCC unroll 4
    for (int i = 0; i < groups / 2; i++) eights[i] = vld1q_s8(values + 16 * i);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      const Tile part{row, half};
      Ints sum = begin(part);
#pragma GCC unroll 4
      for (int i = 0; i < groups / 2; i++) sum = vmmlaq_s32(sum, to_bytes(w[2 * i + half]), eights[i]);
      then(part, sum);
    }
  }
  if constexpr (n % 2 == 1) {
    const Row part{n - 1};
    Ints halves[2] = {words(0), words(0)};
#pragma GCC unroll 4
    for (int i = 0; i < groups / 2; i++) {
      const int8x16_t eight = to_bytes(twice(a.values[n - 1] + first + 8 * i));
      for (int half = 0; half < 2; half++) halves[half] = vdotq_s32(halves[half], to_bytes(w[2 * i + half]), eight);
    }
    then(part, vaddq_s32(vpaddq_s32(halves[0], halves[1]), begin(part)));
  }
}

#elif !defined(ZSE_LANES_PAIRED)

template <int lane>
ZSE_INLINE Ints add_products(Ints sum, Ints weights, int8x16_t values) {
  return vdotq_laneq_s32(sum, to_bytes(weights), values, lane);
}

template <int n, int groups, int most, class Begin, class Then>
ZSE_INLINE void for_products(const Ints* w, const Together<n>& a, int first, Begin begin, Then then) {
#pragma GCC unroll 16
  for (int row = 0; row < n; row++) {
    const Row part{row};
    Ints sum = begin(part);
#pragma GCC unroll 2
    for (int group = 0; group < groups; group += 4) {
      const int8x16_t values = vld1q_s8(a.values[row] + first + 4 * group);
      sum = add_products<0>(sum, w[group], values);
      sum = add_products<1>(sum, w[group + 1], values);
      sum = add_products<2>(sum, w[group + 2], values);
      sum = add_products<3>(sum, w[group + 3], values);
    }
    then(part, sum);
  }
}

#else

// A product has 16 bits, and so have sums of as many as fit; then pairs of those are summed in 32.
template <int n, int groups, int most, class Begin, class Then>
ZSE_INLINE void for_products(const Ints* w, const Together<n>& a, int first, Begin begin, Then then) {
  constexpr int kFit = 32767 / ((most == kSigned ? 128 : most) * 127), kRegisters = groups / 2;
  constexpr int kNarrow = kFit < kRegisters ? kFit : kRegisters;
  static_assert(kNarrow > 0 && kRegisters % kNarrow == 0, "such weights need another way");
#pragma GCC unroll 16
  for (int row = 0; row < n; row++) {
    Ints wide[4];
#pragma GCC unroll 4
    for (int i = 0; i < kRegisters; i += kNarrow) {
      int16x8_t narrow[4];
#pragma GCC unroll 4
      for (int k = 0; k < kNarrow; k++) {
        const int8x16_t eight = to_bytes(twice(a.values[row] + first + 8 * (i + k)));
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
          const int8x16_t two = to_bytes(w[2 * (i + k) + half]);
          narrow[2 * half] = k == 0 ? vmull_s8(vget_low_s8(two), vget_low_s8(eight))
                                    : vmlal_s8(narrow[2 * half], vget_low_s8(two), vget_low_s8(eight));
          narrow[2 * half + 1] = k == 0 ? vmull_high_s8(two, eight) : vmlal_high_s8(narrow[2 * half + 1], two, eight);
        }
      }
#pragma GCC unroll 4
      for (int k = 0; k < 4; k++) wide[k] = i == 0 ? vpaddlq_s16(narrow[k]) : vpadalq_s16(wide[k], narrow[k]);
    }
    const Row part{row};
    const Ints sum = vpaddq_s32(vpaddq_s32(wide[0], wide[1]), vpaddq_s32(wide[2], wide[3]));
    then(part, vaddq_s32(sum, begin(part)));
  }
}

#endif

}  // namespace zse::kernels

#endif
