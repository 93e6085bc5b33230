// Owns how a row of activations is rounded in super-blocks of 256 columns, as ggml rounds them for K-quants (its Q8_K), with what their products will want
// to know of them: for products_superblocks.h and products_tiles.h. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "paired_sums.h"
#include "superblocks.h"

#ifdef ZSE_SUPERBLOCKS

namespace zse::kernels {

/** To how much the products of any weights with a super-block's activations can sum up in a part: of its parts' sums and sums of sizes. */
template <class Kind>
static Ints largest_sums(Ints sums, Ints sizes) {
  constexpr int kBelow = Kind::kOffset, kAbove = Kind::kMost - Kind::kOffset;  // weights are from -kBelow to kAbove
  constexpr int kLarger = kBelow > kAbove ? kBelow : kAbove, kSmaller = kBelow > kAbove ? kAbove : kBelow;
  // What the positive ones sum up to, or the negative ones: the larger of both. The sum of all is what they differ by.
  const Ints more = right(plus(sizes, size_of(sums)), 1);
  return plus(times(more, words(kLarger)), times(minus(sizes, more), words(kSmaller)));
}

#if ZSE_LANES == 16

/** The words of a square of four by four, whose rows are a register's quarters, with rows for columns. */
static inline Ints transposed(Ints words) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), words);
}

/** The sums of each four words of four registers, in order. */
static inline Ints sums_of_fours(const Ints* of) {
  const Ints a = _mm512_add_epi32(_mm512_unpacklo_epi32(of[0], of[1]), _mm512_unpackhi_epi32(of[0], of[1]));
  const Ints b = _mm512_add_epi32(_mm512_unpacklo_epi32(of[2], of[3]), _mm512_unpackhi_epi32(of[2], of[3]));
  return transposed(_mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)));
}

// What products want of a row's sums, one of each sixteen columns, or twice one of 32: for minima two of these in 16 bits each, else where the sum of a part's
// products begins.
template <class Kind>
static void put_sums(SuperTogether<Kind, 1>& to, Ints sums) {
  if constexpr (WholeScales<Kind>::kMinima) {
    const Ints eight = _mm512_maskz_compress_epi32(0x5555, sums);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to.sums[0]), _mm256_castsi256_si128(_mm512_cvtepi32_epi16(eight)));
  } else {
    const Ints begin = _mm512_mullo_epi32(sums, words(-Kind::kOffset));
    if constexpr (WholeScales<Kind>::kParts == 1)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.sums[0]),
                          _mm512_castsi512_si256(_mm512_maskz_compress_epi32(0x5555, begin)));
    else
      _mm512_storeu_si512(to.sums[0], to.over[0] || !in_pairs<Kind>() ? begin : begin_pairs(begin));
  }
}

/** A row's super-block, alone. */
template <class Kind>
static void round_super_block(const float* from, SuperTogether<Kind, 1>& to) {
  Floats numbers[16];
  Ints most[4];
  for (int i = 0; i < 16; i++) numbers[i] = _mm512_loadu_ps(from + 16 * i);
  for (int i = 0; i < 4; i++)
    most[i] = larger(larger(size_of(numbers[i]), size_of(numbers[4 + i])),
                     larger(size_of(numbers[8 + i]), size_of(numbers[12 + i])));
  const float largest = largest_of(larger(larger(most[0], most[1]), larger(most[2], most[3])));
  const __m512 inverse = _mm512_set1_ps(inverse_of(largest));
  to.scales[0] = largest / 127.0f;

  Ints sums_of[4], sizes_of[4];  // of four columns each
  for (int i = 0; i < 4; i++) {
    Ints whole[4];
    for (int k = 0; k < 4; k++) whole[k] = _mm512_cvtps_epi32(_mm512_mul_ps(numbers[4 * i + k], inverse));
    const Ints values =
        transposed(_mm512_packs_epi16(_mm512_packs_epi32(whole[0], whole[1]), _mm512_packs_epi32(whole[2], whole[3])));
    _mm512_storeu_si512(to.values[0][0] + 64 * i, values);
    sums_of[i] = _mm512_dpbusd_epi32(words(0), bytes(1), values);
    sizes_of[i] = _mm512_dpbusd_epi32(words(0), _mm512_abs_epi8(values), bytes(1));
  }
  Ints sums = sums_of_fours(sums_of), sizes = sums_of_fours(sizes_of);
  if (WholeScales<Kind>::kParts == 1) {  // of 32 columns, twice
    sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32(sums, _MM_PERM_CDAB));
    sizes = _mm512_add_epi32(sizes, _mm512_shuffle_epi32(sizes, _MM_PERM_CDAB));
  }
  to.over[0] = 0;
  if constexpr (kFits16<Kind>) to.over[0] = _mm512_cmpgt_epi32_mask(largest_sums<Kind>(sums, sizes), words(0x7fff)) != 0;
  put_sums(to, sums);
}

#else

/** Two sums of 16 bits: those of the even ones of as many, and of the odd ones. */
static inline int32_t even_and_odd(__m128i of) {
  of = _mm_add_epi16(of, _mm_shuffle_epi32(of, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi16(of, _mm_shuffle_epi32(of, 0xb1)));
}

/** What parts of 16 or 32 columns sum up to: the first two of each four columns in the lower half of a word, the others in the upper one. */
template <int columns>
static inline void sum_parts(Ints of_twos, int32_t* sums) {
  const __m128i low = _mm256_castsi256_si128(of_twos), high = _mm256_extracti128_si256(of_twos, 1);
  if (columns == 32) {
    sums[0] = even_and_odd(_mm_add_epi16(low, high));
  } else {
    sums[0] = even_and_odd(low);
    sums[1] = even_and_odd(high);
  }
}

/** A row's super-block, alone. */
template <class Kind>
static void round_super_block(const float* from, SuperTogether<Kind, 1>& to) {
  constexpr int kParts = 8 * WholeScales<Kind>::kParts, kColumns = QK_K / kParts;
  const float largest = largest_in<QK_K>(from);
  const Floats inverse = floats(inverse_of(largest));
  to.scales[0] = largest / 127.0f;

  alignas(32) int32_t halves[kParts];
  [[maybe_unused]] alignas(32) int32_t sizes[kParts];
  for (int i = 0; i < QK_K; i += 32) {
    const Ints values = round_32(from + i, inverse, to.values[0][0] + i);
    sum_parts<kColumns>(_mm256_maddubs_epi16(bytes(1), values), halves + i / kColumns);
    if constexpr (kFits16<Kind>)
      sum_parts<kColumns>(_mm256_maddubs_epi16(_mm256_abs_epi8(values), bytes(1)), sizes + i / kColumns);
  }
  to.over[0] = 0;
  for (int i = 0; i < kParts; i += kLanes) {
    const Ints both_halves = load(halves + i), sums = _mm256_madd_epi16(both_halves, _mm256_set1_epi16(1));
    if constexpr (WholeScales<Kind>::kMinima) {  // those of two parts in 16 bits each
      const Ints two = _mm256_permute4x64_epi64(_mm256_packs_epi32(sums, sums), 0x08);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to.sums[0]), _mm256_castsi256_si128(two));
    } else {
#ifdef ZSE_LANES_VNNI
      const Ints begin = _mm256_mullo_epi32(sums, words(-Kind::kOffset));
#else
      const Ints begin = _mm256_mullo_epi16(both_halves, _mm256_set1_epi16(-Kind::kOffset));
#endif
      _mm256_storeu_si256(reinterpret_cast<Ints*>(to.sums[i]), begin);
    }
    if constexpr (kFits16<Kind>) {
      const Ints sizes_of = _mm256_madd_epi16(load(sizes + i), _mm256_set1_epi16(1));
      const Ints over = _mm256_cmpgt_epi32(largest_sums<Kind>(sums, sizes_of), words(0x7fff));
      to.over[0] |= _mm256_movemask_ps(_mm256_castsi256_ps(over)) << i;
    }
  }
}

#endif

}  // namespace zse::kernels

#endif
