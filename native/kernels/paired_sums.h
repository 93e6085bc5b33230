// Owns how the sums of two parts of a super-block share a register, for K-quants on AVX-512 with VNNI. Pure; any thread. For products_superblocks.h.
//
// A part's products are summed in 32 bits, and a multiplication for each part scales them. Sums of activations as they come fit 16 bits, though. So the
// second part of two is summed first, then moved to the upper half, and the first one is summed below it: one instruction (vpdpwssd) scales both.
//   - The lower sum has 0x8000 added, so that it takes nothing from the upper half, until it is scaled.
//   - Where 15 bits hold it, it has 0x4000 added, and is scaled so: what that adds is the same for all rows.
//   - Activations whose sums may not fit are known when they are rounded (SuperTogether::over). They take the other way, which gives the same whole numbers.
#pragma once

#include "superblocks.h"

#ifdef ZSE_SUPERBLOCKS

namespace zse::kernels {

constexpr int kLowerBias = 0x8000, kNarrowBias = 0x4000;

/** No pairs: weights of eight bits (IQ4_XS) have larger sums. */
template <class Kind>
struct Pairs {
  static constexpr bool kAny = false, kNarrow = false;
};

// Parts of 32 columns. `second` may give its weights times a power of two, which `kShift` takes into account. Up to `kWrittenOut` rows of activations the code is
// written out for each pair, so that its shifts are known. That of more rows is longer than the nearest caches of instructions (docs/lab/matrix-products.md).
template <>
struct Pairs<LanesQ4_K> {
  static constexpr bool kAny = true;
  static constexpr bool kNarrow = true;
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
  static constexpr bool kAny = true;
  static constexpr bool kNarrow = false;
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
  static constexpr bool kAny = true;
  static constexpr bool kNarrow = false;
  static constexpr int kWrittenOut = 4;
  static constexpr int kShift = 16;
  static Ints first(const LanesQ6_K::Block& block, int pair, int i) { return LanesQ6_K::columns(block, pair, i); }
  static Ints second(const LanesQ6_K::Block& block, int pair, int i) { return LanesQ6_K::columns(block, pair, 4 + i); }
  static Ints scales(const WholeScales<LanesQ6_K>& by, int pair) {
    const Ints two = right(word(by.block.scales, pair / 2), pair % 2 * 16);
    return _mm512_srai_epi16(either(left(two, 16), both(left(two, 8), words(0xff00))), 8);
  }
};

// What is known of a row's sums of parts (SuperTogether::over): they do not fit 15 bits, or not 16.
constexpr int32_t kOver15 = 1, kOver16 = 2;

/** To how much the products of any weights with a super-block's activations can sum up in a part: of its parts' sums and sums of sizes. */
template <class Kind>
static Ints largest_sums(Ints sums, Ints sizes) {
  constexpr int kBelow = Kind::kOffset, kAbove = Kind::kMost - Kind::kOffset;  // weights are from -kBelow to kAbove
  constexpr int kLarger = kBelow > kAbove ? kBelow : kAbove, kSmaller = kBelow > kAbove ? kAbove : kBelow;
  // What the positive ones sum up to, or the negative ones: the larger of both. The sum of all is what they differ by.
  const Ints more = _mm512_srli_epi32(_mm512_add_epi32(sizes, _mm512_abs_epi32(sums)), 1);
  return _mm512_add_epi32(_mm512_mullo_epi32(more, words(kLarger)),
                          _mm512_mullo_epi32(_mm512_sub_epi32(sizes, more), words(kSmaller)));
}

/** What SuperTogether::over has of a row whose parts sum up to so much at most. */
template <class Kind>
static int32_t over_of(Ints largest) {
  const auto over = [&](int most) { return _mm512_cmpgt_epi32_mask(largest, words(most)); };
  constexpr __mmask16 kLower = 0x3333;  // each second part, of 32 columns: two lanes have the sum of one
  return (Pairs<Kind>::kNarrow && (over(0x3fff) & kLower) ? kOver15 : 0) | (over(0x7fff) ? kOver16 : 0);
}

/** Where the sums of a type without minima begin, of a row whose sums fit: those of two parts together, in the place of the first. */
static inline Ints begin_pairs(Ints begin) {
  const Ints second = left(_mm512_shuffle_epi32(begin, _MM_PERM_CDAB), 16);
  return _mm512_mask_add_epi32(begin, 0x5555, begin, _mm512_add_epi32(second, words(kLowerBias)));
}

/** Where the sum of one part begins. */
template <class Kind, int n>
ZSE_INLINE int32_t begin_of(const SuperTogether<Kind, n>& a, int part, int row) {
  const int32_t begin = a.sums[part][row];
  if (!Pairs<Kind>::kAny || a.over[row] || part % 2) return begin;
  return static_cast<int32_t>(begin - kLowerBias - a.sums[part + 1][row] * 65536u);
}

/** Whether any row's sums are over one of `which`: kOver15, kOver16. */
template <int n, class Together>
ZSE_INLINE bool any_over(const Together& a, int32_t which) {
  const Ints over = _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), a.over);
  return _mm512_test_epi32_mask(over, words(which)) != 0;
}

/** Weights of pairs as they are stored. */
template <class Kind>
struct PackedPairs {
  const typename Kind::Block& block;
  const WholeScales<Kind>& by;
  Ints first(int pair, int i) const { return Pairs<Kind>::first(block, pair, i); }
  Ints second(int pair, int i) const { return Pairs<Kind>::second(block, pair, i); }
  Ints scales(int pair) const { return Pairs<Kind>::scales(by, pair); }
};

/**
 * The products of a super-block `of` weights with `n` rows of activations, summed with their scales, none of whose sums are over 16 bits, or 15 where `narrow`.
 * Memory brings as many weights from `ahead` bytes after `block` on, if any.
 */
template <class Kind, int n, bool narrow, class Weights>
ZSE_INLINE void sum_pairs(Ints* whole, const Weights& of, const SuperTogether<Kind, n>& a, const typename Kind::Block& block,
                          size_t ahead) {
  using Two = Pairs<Kind>;
  constexpr int kParts = WholeScales<Kind>::kParts, kGroups = 8 / kParts, kPairs = 4 * kParts;
  constexpr int kSixteens = 2 / kParts;                                     // of a part's columns
  constexpr bool kBiased = WholeScales<Kind>::kMinima && Two::kShift < 16;  // from the beginning
  static_assert(kBiased || !narrow);
  constexpr int kBias = narrow ? kNarrowBias : kLowerBias;
  const Ints bias = words(kBias), begin = words(kBiased ? kBias >> Two::kShift : 0);
  // What is added to a narrow sum is scaled with it, alike for all rows: it is taken off before.
  Ints start = words(0);
  if constexpr (narrow) {
#pragma GCC unroll 4
    for (int pair = 0; pair < kPairs; pair++) start = add_halves(start, of.scales(pair), words(0x10000 - kNarrowBias));
  }
#pragma GCC unroll 16
  for (int row = 0; row < n; row++) whole[row] = start;
  for_blocks<(n <= Two::kWrittenOut), kPairs>([&](int pair) ZSE_INLINE_LAMBDA {
    if (ahead > 0) fetch<8>(block, kSixteens * pair, ahead);
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
    if (kSixteens == 2 && ahead > 0) fetch<8>(block, 2 * pair + 1, ahead);
#pragma GCC unroll 8
    for (int group = 0; group < kGroups; group++) {
      const Ints w = of.first(pair, group);
#pragma GCC unroll 16
      for (int row = 0; row < n; row++) sums[row] = add_products(sums[row], w, values[group / 4][row] + group % 4 * 4);
    }
    const Ints scales = of.scales(pair);
#pragma GCC unroll 16
    for (int row = 0; row < n; row++)
      whole[row] = add_halves(whole[row], narrow ? sums[row] : _mm512_xor_si512(sums[row], bias), scales);
  });
}

}  // namespace zse::kernels

#endif
