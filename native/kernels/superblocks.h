// Owns in what shape super-blocks of 256 columns of interleaved weights and rounded activations meet, and how whole sums of their products are scaled: for
// K-quants and IQ4_XS on x86. Pure; any thread. For products_superblocks.h and products_tiles.h.
#pragma once

#include "lanes_types.h"

#if defined(ZSE_LANES) && !defined(ZSE_LANES_NEON)
#define ZSE_SUPERBLOCKS

namespace zse::kernels {

// The scales of a super-block's blocks, of each row of weights, and what they are scaled with.
template <class Kind>
struct WholeScales {
  static constexpr int kParts = 1;  // of 32 columns, each with a scale
  static constexpr bool kMinima = true;
  ZSE_INLINE_MEMBER explicit WholeScales(const typename Kind::Block& block)
      : six(block.scales, block.d, block.dmin),
        factor(from_halves(block.d)),
        minimum(multiply(from_halves(block.dmin), floats(-1))) {}
  Ints of(int j, int) const { return six.whole_scale(j); }
  Ints minima(int i) const { return six.two_minima(i); }
  SixBits six;
  Floats factor, minimum;
};

template <>
struct WholeScales<LanesQ6_K> {
  static constexpr int kParts = 2;
  static constexpr bool kMinima = false;
  ZSE_INLINE_MEMBER explicit WholeScales(const LanesQ6_K::Block& block) : block(block), factor(from_halves(block.d)) {}
  Ints of(int j, int part) const { return LanesQ6_K::whole_scale(block, 2 * j + part); }
  const LanesQ6_K::Block& block;
  Floats factor;
};

template <>
struct WholeScales<LanesIq4Xs> {
  static constexpr int kParts = 1;
  static constexpr bool kMinima = false;
  ZSE_INLINE_MEMBER explicit WholeScales(const LanesIq4Xs::Block& block) : block(block), factor(from_halves(block.d)) {}
  Ints of(int j, int) const { return minus(LanesIq4Xs::whole_scale(block, j), words(32)); }
  const LanesIq4Xs::Block& block;
  Floats factor;
};

/** Whether a part's sums fit 16 bits, of usual activations. Weights of eight bits (IQ4_XS) have larger ones. AVX2 has smaller sums, and need not ask. */
template <class Kind>
#ifdef ZSE_LANES_VNNI
constexpr bool kFits16 = Kind::kMost < 64;
#else
constexpr bool kFits16 = false;
#endif

constexpr int kStep = 64;  // columns of a row of a tile

/** Columns of one row of activations that lie together, where `n` rows do: as many as a tile wants, else fewer, so that those of all rows are near. */
constexpr int columns_together(int n) { return kLanes == 16 && n == kMostTogether ? kStep : 16; }

/**
 * A super-block of `n` rows of activations that are multiplied together: their values, then their scales, then what a type wants of the sums
 * of their parts: for minima those of two blocks in 16 bits each, else where the sum of a part's products begins. Last whether the sums of a row's parts may
 * be too large for 16 bits; with eight lanes a bit for each part.
 */
template <class Kind, int n>
struct SuperTogether {
  static constexpr int kSums = WholeScales<Kind>::kMinima ? 4 : 8 * WholeScales<Kind>::kParts;
  static constexpr int kColumns = columns_together(n);
  int8_t values[QK_K / kColumns][n][kColumns];
  float scales[n];
  int32_t sums[kSums][n];
  int32_t over[n];
  const int8_t* at(int column, int row) const { return values[column / kColumns][row] + column % kColumns; }
};

#if ZSE_LANES == 16
/** Whether any row's sums may be too large. */
template <class Kind, int n>
ZSE_INLINE bool any_over(const SuperTogether<Kind, n>& a) {
  const Ints over = _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), a.over);
  return _mm512_test_epi32_mask(over, over) != 0;
}
#endif

// What a row's sums are scaled with once a super-block's products are summed: with minima those of all blocks too, two and two.
template <class Kind>
struct Factors {
  Floats factor, minimum;
  Ints minima[4];

  Factors() = default;
  ZSE_INLINE_MEMBER explicit Factors(const WholeScales<Kind>& by) : factor(by.factor) {
    if constexpr (WholeScales<Kind>::kMinima) {
      minimum = by.minimum;
      for (int i = 0; i < 4; i++) minima[i] = by.minima(i);
    }
  }

  /** Adds to `sum` a row's super-block, whose products are summed in `whole`. */
  template <int n>
  Floats add(Floats sum, Ints whole, const SuperTogether<Kind, n>& a, int row) const {
    Floats scaled = multiply(to_floats(whole), factor);
    if constexpr (WholeScales<Kind>::kMinima) {
      Ints of_minima = words(0);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) of_minima = add_halves(of_minima, minima[i], &a.sums[i][row]);
      scaled = multiply_add(to_floats(of_minima), minimum, scaled);
    }
    return multiply_add(scaled, floats(a.scales[row]), sum);
  }
};

}  // namespace zse::kernels

#endif
