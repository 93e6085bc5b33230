// Owns how a row of activations is rounded in super-blocks of 256 columns, as ggml rounds them for K-quants (its Q8_K), with what their products will want
// to know of them: for products_superblocks.h and products_tiles.h. Pure; any thread.
#pragma once

#include "paired_sums.h"

#ifdef ZSE_SUPERBLOCKS

namespace zse::kernels {

/** Sixteen words from four registers of four. */
static inline Ints from_quarters(const __m128i* quarters) {
  Ints all = _mm512_castsi128_si512(quarters[0]);
  all = _mm512_inserti32x4(all, quarters[1], 1);
  all = _mm512_inserti32x4(all, quarters[2], 2);
  return _mm512_inserti32x4(all, quarters[3], 3);
}

/** Of 64 bytes, the sums of sixteen each, as if they had no sign. */
static inline __m128i sums_of_sixteen(Ints bytes) {
  const Ints eights = _mm512_sad_epu8(bytes, words(0));
  const Ints both = _mm512_add_epi64(eights, _mm512_shuffle_epi32(eights, _MM_PERM_BADC));
  return _mm256_castsi256_si128(_mm512_cvtepi64_epi32(_mm512_maskz_compress_epi64(0x55, both)));
}

/** A row's super-block, alone. */
template <class Kind>
static void round_super_block(const float* from, SuperTogether<Kind, 1>& to) {
  using Scales = WholeScales<Kind>;
  __m512 most = _mm512_setzero_ps();
  for (int i = 0; i < QK_K; i += 16) most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(from + i)));
  const float largest = _mm512_reduce_max_ps(most);
  const __m512 inverse = _mm512_set1_ps(largest != 0 ? 127.0f / largest : 0.0f);
  to.scales[0] = largest / 127.0f;
  // In registers: reading 64 bytes right after they were written by sixteen waits for all of them.
  __m128i sums_of[4], sizes_of[4];
  for (int i = 0; i < 4; i++) {
    __m128i quarters[4];
    for (int k = 0; k < 4; k++)
      quarters[k] =
          _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 64 * i + 16 * k), inverse)));
    const Ints values = from_quarters(quarters);
    _mm512_storeu_si512(to.values[0][0] + 64 * i, values);
    sums_of[i] = sums_of_sixteen(_mm512_xor_si512(values, _mm512_set1_epi8(-128)));  // 128 more each
    sizes_of[i] = sums_of_sixteen(_mm512_abs_epi8(values));
  }
  Ints sums = _mm512_sub_epi32(from_quarters(sums_of), words(16 * 128)), sizes = from_quarters(sizes_of);
  if (Scales::kParts == 1) {  // of 32 columns, twice
    sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32(sums, _MM_PERM_CDAB));
    sizes = _mm512_add_epi32(sizes, _mm512_shuffle_epi32(sizes, _MM_PERM_CDAB));
  }
  to.sizes[0] = 0;
  if constexpr (Pairs<Kind>::kAny) to.sizes[0] = over_of<Kind>(largest_sums<Kind>(sums, sizes));

  alignas(64) int32_t sum[16];
  _mm512_store_si512(sum, sums);
  for (int i = 0; i < SuperTogether<Kind, 1>::kSums; i++) {
    if (Scales::kMinima)
      to.sums[i][0] = (sum[4 * i] & 0xffff) | sum[4 * i + 2] * 65536;
    else
      to.sums[i][0] = -Kind::kOffset * sum[Scales::kParts == 1 ? 2 * i : i];
  }
  if constexpr (Pairs<Kind>::kAny && !Scales::kMinima) {
    if (!to.sizes[0]) begin_pairs(to);
  }
}

}  // namespace zse::kernels

#endif
