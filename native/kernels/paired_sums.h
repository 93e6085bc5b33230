// Owns how the sums of two parts of a super-block share a register, for K-quants on AVX-512 with VNNI. Pure; any thread. For products_superblocks.h.
//
// A part's products are summed in 32 bits, and a multiplication for each part scales them. Where activations' sums fit 16 bits, the second part of two is
// summed first, then moved to the upper half, and the first one is summed below it: one instruction (vpdpwssd) scales both.
// The lower sum has 0x8000 added, so that it takes nothing from the upper half, until it is scaled.
#pragma once

#include "processor.h"
#include "superblocks.h"

#if defined(ZSE_SUPERBLOCKS) && ZSE_LANES == 16

namespace zse::kernels {

constexpr int kLowerBias = 0x8000;

/** Of kinds whose sums fit 16 bits, how two parts of 32 columns or of 16 are read. */
template <class Kind>
struct Pairs;

// Parts of 32 columns. `second` may give its weights times a power of two, which `kShift` takes into account. Up to `kWrittenOut` rows of activations the code is
// written out for each pair, so that its shifts are known. That of more rows is longer than the nearest caches of instructions (docs/lab/matrix-products.md).
template <>
struct Pairs<LanesQ4_K> {
  static constexpr int kWrittenOut = 0;
  static constexpr int kShift = 12;  // an upper nibble where it is is the weight times sixteen
  static Ints first(const LanesQ4_K::Block& block, int pair, int i) { return both(word(block.qs, 8 * pair + i), bytes(15)); }
  static Ints second(const LanesQ4_K::Block& block, int pair, int i) {
    return both(word(block.qs, 8 * pair + i), bytes(0xf0));
  }
  static Ints scales(const WholeScales<LanesQ4_K>& by, int pair) { return by.six.two_scales(pair); }
};

template <>
struct Pairs<LanesQ5_K> {
  static constexpr int kWrittenOut = 2;
  static constexpr int kShift = 13;
  static Ints first(const LanesQ5_K::Block& block, int pair, int i) { return LanesQ5_K::columns(block, 2 * pair, i); }
  static Ints second(const LanesQ5_K::Block& block, int pair, int i) {
    const Ints low = both(right(word(block.qs, 8 * pair + i), 1), bytes(0x78));
    return either(low, both(left(word(block.qh, i), 6 - 2 * pair), bytes(0x80)));
  }
  static Ints scales(const WholeScales<LanesQ5_K>& by, int pair) { return by.six.two_scales(pair); }
};

// Parts of 16 columns.
template <>
struct Pairs<LanesQ6_K> {
  static constexpr int kWrittenOut = 4;
  static constexpr int kShift = 16;
  static Ints first(const LanesQ6_K::Block& block, int pair, int i) { return LanesQ6_K::columns(block, pair, i); }
  static Ints second(const LanesQ6_K::Block& block, int pair, int i) { return LanesQ6_K::columns(block, pair, 4 + i); }
  static Ints scales(const WholeScales<LanesQ6_K>& by, int pair) {
    const Ints two = right(word(by.block.scales, pair / 2), pair % 2 * 16);
    return _mm512_srai_epi16(either(left(two, 16), both(left(two, 8), words(0xff00))), 8);
  }
};

/**
 * Whether weights as they are stored are multiplied so. Those of types with minima are: what lies in a register's upper bits stays there. Q6_K's are where
 * moving and adding cost little; where these compete with multiplications, scaling each part alone is less.
 */
template <class Kind>
static bool in_pairs() {
  if constexpr (!kFits16<Kind>) return false;
  if constexpr (WholeScales<Kind>::kMinima) return true;
  return !instructions_compete();
}

/** Where the sums of a type without minima begin, of a row whose sums fit: those of two parts together, in the place of the first. */
static inline Ints begin_pairs(Ints begin) {
  const Ints second = left(_mm512_shuffle_epi32(begin, _MM_PERM_CDAB), 16);
  return _mm512_mask_add_epi32(begin, 0x5555, begin, _mm512_add_epi32(second, words(kLowerBias)));
}

/** Where those of a row begin, part by part. */
template <class Kind, int n>
ZSE_INLINE int32_t begin_of(const SuperTogether<Kind, n>& a, int part, int row) {
  const int32_t begin = a.sums[part][row];
  if (!in_pairs<Kind>() || a.over[row] || part % 2) return begin;
  return static_cast<int32_t>(begin - kLowerBias - a.sums[part + 1][row] * 65536u);
}

/** Weights of pairs as they are stored. */
template <class Kind>
struct PackedPairs {
  ZSE_INLINE_MEMBER explicit PackedPairs(const typename Kind::Block& block) : block(block), by(block) {}
  Ints first(int pair, int i) const { return Pairs<Kind>::first(block, pair, i); }
  Ints second(int pair, int i) const { return Pairs<Kind>::second(block, pair, i); }
  Ints scales(int pair) const { return Pairs<Kind>::scales(by, pair); }
  Factors<Kind> factors() const { return Factors<Kind>(by); }

  const typename Kind::Block& block;
  const WholeScales<Kind> by;
};

/**
 * The products of a super-block `of` weights with `n` rows of activations whose sums fit, summed with their scales. Memory brings what is `ahead`.
 */
template <class Kind, int n>
ZSE_INLINE void sum_pairs(Ints* whole, const PackedPairs<Kind>& of, const SuperTogether<Kind, n>& a, Ahead ahead) {
  using Two = Pairs<Kind>;
  constexpr int kParts = WholeScales<Kind>::kParts, kGroups = 8 / kParts, kPairs = 4 * kParts;
  constexpr int kSixteens = 2 / kParts;                                     // of a part's columns
  constexpr bool kBiased = WholeScales<Kind>::kMinima && Two::kShift < 16;  // from the beginning
  const Ints bias = words(kLowerBias), begin = words(kBiased ? kLowerBias >> Two::kShift : 0);
#pragma GCC unroll 16
  for (int row = 0; row < n; row++) whole[row] = words(0);
  for_blocks<(n <= Two::kWrittenOut), kPairs>([&](int pair) ZSE_INLINE_LAMBDA {
    fetch<8>(of.block, kSixteens * pair, ahead);
    const int8_t (*values)[n][16] = a.values + 2 * kSixteens * pair;
    Ints sums[n];
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) sums[row] = begin;
#pragma GCC unroll 8
    for (int group = 0; group < kGroups; group++) {
      const Ints w = of.second(pair, group);
#pragma GCC unroll 16
      for (int row = 0; row < n; row++)
        sums[row] = add_products(sums[row], w, values[kSixteens + group / 4][row] + group % 4 * 4);
    }
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) {
      sums[row] = _mm512_slli_epi32(sums[row], Two::kShift);
      if (!kBiased)
        sums[row] = _mm512_add_epi32(sums[row], WholeScales<Kind>::kMinima ? bias : words(a.sums[2 * pair][row]));
    }
    if (kSixteens == 2) fetch<8>(of.block, 2 * pair + 1, ahead);
#pragma GCC unroll 8
    for (int group = 0; group < kGroups; group++) {
      const Ints w = of.first(pair, group);
#pragma GCC unroll 16
      for (int row = 0; row < n; row++) sums[row] = add_products(sums[row], w, values[group / 4][row] + group % 4 * 4);
    }
    const Ints scales = of.scales(pair);
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) whole[row] = add_halves(whole[row], _mm512_xor_si512(sums[row], bias), scales);
  });
}

}  // namespace zse::kernels

#endif
