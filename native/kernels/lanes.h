// Owns the instructions that products with interleaved weights are made of, under one set of names: a register has a 32-bit lane for each row
// of weights, and in each lane four columns. Pure; any thread. Everything is static: each variant of the backend has its own.
#pragma once

#include "ggml-cpu-impl.h"
#include "repack.h"  // it declares the types' blocks

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && \
    defined(__AVX512VNNI__)
#define ZSE_LANES 16
#define ZSE_LANES_VNNI
#elif defined(__AVX2__) && defined(__FMA__) && \
    defined(__F16C__)  // AVX-512 without VNNI, too: nothing of it multiplies bytes faster
#define ZSE_LANES 8
#ifdef __AVXVNNI__
#define ZSE_LANES_VNNI
#endif
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define ZSE_LANES 4
#define ZSE_LANES_NEON
// With dotprod four columns of a row lie together; else eight of two rows, for i8mm or for NEON alone.
#if defined(__ARM_FEATURE_MATMUL_INT8) && defined(__ARM_FEATURE_DOTPROD)
#define ZSE_LANES_MATRIX
#define ZSE_LANES_PAIRED
#elif !defined(__ARM_FEATURE_DOTPROD)
#define ZSE_LANES_PAIRED
#endif
#endif

#ifdef ZSE_LANES_NEON

#include "lanes_neon.h"

#elif defined(ZSE_LANES)

#include <immintrin.h>

#include <cfloat>
#include <cstdint>
#include <cstring>

namespace zse::kernels {

/** 32 activations as whole numbers up to 127 times a scale, rounded as ggml's Q8_0 rounds them. */
struct Rounded {
  float scale;
  // Of the first sixteen as they are stored, and of the others: small, even where activations are no numbers.
  int32_t sums[2];
};

/** What activations are multiplied with so that the largest becomes 127; 0 where all are so small that it would be no number. Of what is no number none. */
static inline float inverse_of(float largest) { return largest < 127.0f / FLT_MAX ? 0.0f : 127.0f / largest; }

// Whether a compiler knows it where this becomes a part of who calls it.
#ifdef __GNUC__
#define ZSE_KNOWN(value) __builtin_constant_p(value)
#else
#define ZSE_KNOWN(value) false
#endif

// Which bytes of four lanes their lower two are, each before a zero, or the upper two.
alignas(16) constexpr uint8_t kTwoBytes[2][16] = {{0, 128, 1, 128, 4, 128, 5, 128, 8, 128, 9, 128, 12, 128, 13, 128},
                                                  {2, 128, 3, 128, 6, 128, 7, 128, 10, 128, 11, 128, 14, 128, 15, 128}};

static inline int32_t sum_of(__m128i words) {
  words = _mm_add_epi32(words, _mm_shuffle_epi32(words, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(words, _mm_shuffle_epi32(words, 0xb1)));
}

#if ZSE_LANES == 16

using Ints = __m512i;
using Floats = __m512;

static inline Ints load(const void* from) { return _mm512_loadu_si512(from); }
static inline Ints bytes(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
static inline Ints words(int32_t value) { return _mm512_set1_epi32(value); }
static inline Floats floats(float value) { return _mm512_set1_ps(value); }
static inline Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
static inline Floats from_halves(const ggml_half* halves) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves)));
}
static inline Floats from_brains(const ggml_bf16_t* brains) {
  const Ints wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(brains)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline Ints from_shorts(const uint16_t* shorts) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(shorts)));
}
/** Half of two to the power of a byte less 127, as ggml reads MXFP4's scales. */
static inline Floats from_exponents(const uint8_t* exponents) {
  const Ints e = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(exponents)));
  const Ints normal = _mm512_slli_epi32(_mm512_sub_epi32(e, words(1)), 23);
  const Ints small = _mm512_sllv_epi32(words(0x00200000), e);
  return _mm512_castsi512_ps(_mm512_mask_blend_epi32(_mm512_cmplt_epi32_mask(e, words(2)), normal, small));
}
static inline Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
static inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
static inline Floats multiply_subtract(Floats a, Floats b, Floats c) { return _mm512_fmsub_ps(a, b, c); }
static inline Floats as_floats(Ints a) { return _mm512_castsi512_ps(a); }
static inline Ints both(Ints a, Ints b) { return _mm512_and_si512(a, b); }
static inline Ints either(Ints a, Ints b) { return _mm512_or_si512(a, b); }
// A count that is in one register for all lanes takes the place of a multiplication on Zen 5, one for each lane does not (docs/lab/matrix-products.md).
// Clang would make the one of the other.
static inline Ints for_each_lane(int bits) {
  Ints counts = words(bits);
#ifdef __GNUC__
  asm("" : "+v"(counts));
#endif
  return counts;
}
static inline Ints right(Ints a, int bits) {
  if (ZSE_KNOWN(bits)) return _mm512_srl_epi32(a, _mm_cvtsi32_si128(bits));
  return _mm512_srlv_epi32(a, for_each_lane(bits));
}
static inline Ints left(Ints a, int bits) {
  if (ZSE_KNOWN(bits)) return _mm512_sll_epi32(a, _mm_cvtsi32_si128(bits));
  return _mm512_sllv_epi32(a, for_each_lane(bits));
}
static inline Ints right_signed(Ints a, int bits) {
  if (ZSE_KNOWN(bits)) return _mm512_sra_epi32(a, _mm_cvtsi32_si128(bits));
  return _mm512_srav_epi32(a, for_each_lane(bits));
}
/** Bytes of a table of sixteen by their places in it. */
static inline Ints looked_up(const void* table, Ints places) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(table))), places);
}
/** The lower two bytes of each lane, or the upper two, as two numbers of 16 bits. */
static inline Ints two_bytes(Ints a, int upper) {
  const auto* from = reinterpret_cast<const __m128i*>(kTwoBytes[upper]);
  return _mm512_shuffle_epi8(a, _mm512_broadcast_i32x4(_mm_load_si128(from)));
}
static inline Ints plus(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
static inline Ints minus(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
static inline Ints times(Ints a, Ints b) { return _mm512_mullo_epi32(a, b); }
static inline Ints size_of(Ints a) { return _mm512_abs_epi32(a); }
static inline Floats load_floats(const float* from) { return _mm512_loadu_ps(from); }
static inline void store(float* to, Floats a) { _mm512_storeu_ps(to, a); }
static inline Floats zero() { return _mm512_setzero_ps(); }

// GCC 12 reads a word that all lanes share by an instruction of its own. The one that multiplies can do that itself, and where another program's thread has
// the other half of a core, that is a tenth quicker (docs/lab/matrix-products.md).
#if defined(__GNUC__) && !defined(__clang__)
#define ZSE_SHARED_WORD(name, sum, a, four) \
  asm(name " %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(*reinterpret_cast<const SharedWord*>(four)))
struct SharedWord {
  char bytes[4];
};
#endif

/** Adds to `sum`, in each lane, the products of four unsigned weights with four signed values that all lanes share. */
static inline Ints add_products(Ints sum, Ints weights, const int8_t* values) {
#ifdef ZSE_SHARED_WORD
  ZSE_SHARED_WORD("vpdpbusd", sum, weights, values);
  return sum;
#else
  int32_t four;
  memcpy(&four, values, sizeof(four));
  return _mm512_dpbusd_epi32(sum, weights, words(four));
#endif
}
/** Adds to `sum`, in each lane, the products of both halves of `a` with those of a word that all lanes share. */
static inline Ints add_halves(Ints sum, Ints a, const int32_t* two) {
#ifdef ZSE_SHARED_WORD
  ZSE_SHARED_WORD("vpdpwssd", sum, a, two);
  return sum;
#else
  return _mm512_dpwssd_epi32(sum, a, words(*two));
#endif
}
/** The same with those of `b`. */
static inline Ints add_halves(Ints sum, Ints a, Ints b) {
#ifdef ZSE_SHARED_WORD
  asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));  // GCC would move the sum to another register and back
  return sum;
#else
  return _mm512_dpwssd_epi32(sum, a, b);
#endif
}

/** Of floats, as the whole number that has their bits: sizes compare alike, and what is no number is larger than all. Among floats it would be lost. */
static inline Ints size_of(Floats a) { return _mm512_castps_si512(_mm512_abs_ps(a)); }
static inline Ints larger(Ints a, Ints b) { return _mm512_max_epu32(a, b); }
static inline float largest_of(Ints sizes) {
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int32_t>(_mm512_reduce_max_epu32(sizes)))));
}

static inline Rounded round_block(const float* from, int8_t* to) {
  const __m512 a = _mm512_loadu_ps(from), b = _mm512_loadu_ps(from + 16);
  const float largest = largest_of(larger(size_of(a), size_of(b)));
  const __m512 inverse = _mm512_set1_ps(inverse_of(largest));
  const __m128i first = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)));
  const __m128i second = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(b, inverse)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), first);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16), second);
  const __m128i ones = _mm_set1_epi8(1), none = _mm_setzero_si128();
  return {largest / 127.0f, {sum_of(_mm_dpbusd_epi32(none, ones, first)), sum_of(_mm_dpbusd_epi32(none, ones, second))}};
}

#else

using Ints = __m256i;
using Floats = __m256;

static inline Ints load(const void* from) { return _mm256_loadu_si256(static_cast<const Ints*>(from)); }
static inline Ints bytes(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
static inline Ints words(int32_t value) { return _mm256_set1_epi32(value); }
static inline Floats floats(float value) { return _mm256_set1_ps(value); }
static inline Floats to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }
static inline Floats from_halves(const ggml_half* halves) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves)));
}
static inline Floats from_brains(const ggml_bf16_t* brains) {
  const Ints wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(brains)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline Ints from_shorts(const uint16_t* shorts) {
  return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(shorts)));
}
static inline Floats from_exponents(const uint8_t* exponents) {
  const Ints e = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(exponents)));
  const Ints normal = _mm256_slli_epi32(_mm256_sub_epi32(e, words(1)), 23);
  const Ints small = _mm256_sllv_epi32(words(0x00200000), e);
  const Ints is_small = _mm256_cmpgt_epi32(words(2), e);
  return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, small, is_small));
}
static inline Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
static inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
static inline Floats multiply_subtract(Floats a, Floats b, Floats c) { return _mm256_fmsub_ps(a, b, c); }
static inline Floats as_floats(Ints a) { return _mm256_castsi256_ps(a); }
static inline Ints both(Ints a, Ints b) { return _mm256_and_si256(a, b); }
static inline Ints either(Ints a, Ints b) { return _mm256_or_si256(a, b); }
static inline Ints right(Ints a, int bits) { return _mm256_srl_epi32(a, _mm_cvtsi32_si128(bits)); }
static inline Ints left(Ints a, int bits) { return _mm256_sll_epi32(a, _mm_cvtsi32_si128(bits)); }
static inline Ints right_signed(Ints a, int bits) { return _mm256_sra_epi32(a, _mm_cvtsi32_si128(bits)); }
static inline Ints looked_up(const void* table, Ints places) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(table))), places);
}
static inline Ints two_bytes(Ints a, int upper) {
  const auto* from = reinterpret_cast<const __m128i*>(kTwoBytes[upper]);
  return _mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(_mm_load_si128(from)));
}
static inline Ints plus(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
static inline Ints minus(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
static inline Ints times(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
static inline Ints size_of(Ints a) { return _mm256_abs_epi32(a); }
static inline Floats load_floats(const float* from) { return _mm256_loadu_ps(from); }
static inline void store(float* to, Floats a) { _mm256_storeu_ps(to, a); }
static inline Floats zero() { return _mm256_setzero_ps(); }

static inline Ints four_for_all(const int8_t* values) {
  int32_t four;
  memcpy(&four, values, sizeof(four));
  return words(four);
}

#ifdef ZSE_LANES_VNNI

static inline Ints add_products(Ints sum, Ints weights, const int8_t* values) {
  return _mm256_dpbusd_avx_epi32(sum, weights, four_for_all(values));
}
static inline Ints add_halves(Ints sum, Ints a, Ints b) { return _mm256_dpwssd_avx_epi32(sum, a, b); }

#else

// Two and two in 16 bits, which hold as many groups' sums as the largest weight allows; then in 32.
static inline Ints pairs(Ints weights, const int8_t* values) { return _mm256_maddubs_epi16(weights, four_for_all(values)); }
static inline Ints add_pairs(Ints sum, Ints weights, const int8_t* values) {
  return _mm256_add_epi16(sum, pairs(weights, values));
}
static inline Ints add_wide(Ints sum, Ints pairs) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static inline Ints add_halves(Ints sum, Ints a, Ints b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }

/** The same of signed weights, whose sizes are given beside them: their signs are moved to the values. */
static inline Ints sizes(Ints weights) { return _mm256_abs_epi8(weights); }
static inline Ints signed_pairs(Ints sizes, Ints weights, const int8_t* values) {
  return _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(four_for_all(values), weights));
}

#endif

static inline Ints add_halves(Ints sum, Ints a, const int32_t* two) { return add_halves(sum, a, words(*two)); }

static inline Ints size_of(Floats a) { return _mm256_castps_si256(_mm256_andnot_ps(floats(-0.0f), a)); }
static inline Ints larger(Ints a, Ints b) { return _mm256_max_epu32(a, b); }
static inline float largest_of(Ints sizes) {
  __m128i largest = _mm_max_epu32(_mm256_castsi256_si128(sizes), _mm256_extracti128_si256(sizes, 1));
  largest = _mm_max_epu32(largest, _mm_shuffle_epi32(largest, 0x4e));
  largest = _mm_max_epu32(largest, _mm_shuffle_epi32(largest, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(largest));
}

/** The largest size among `count` activations. */
template <int count>
static inline float largest_in(const float* from) {
  Ints most = words(0);
  for (int i = 0; i < count; i += 8) most = larger(most, size_of(_mm256_loadu_ps(from + i)));
  return largest_of(most);
}

/** 32 activations as whole numbers, in order. */
static inline Ints round_32(const float* from, Floats inverse, int8_t* to) {
  Ints whole[4];
  for (int i = 0; i < 4; i++) whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(from + 8 * i), inverse));
  const Ints narrow = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3]));
  const Ints in_order = _mm256_permutevar8x32_epi32(narrow, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<Ints*>(to), in_order);
  return in_order;
}

static inline Rounded round_block(const float* from, int8_t* to) {
  const float largest = largest_in<32>(from);
  const Ints values = round_32(from, floats(inverse_of(largest)), to);
  const Ints fours = _mm256_madd_epi16(_mm256_maddubs_epi16(bytes(1), values), _mm256_set1_epi16(1));
  return {largest / 127.0f, {sum_of(_mm256_castsi256_si128(fours)), sum_of(_mm256_extracti128_si256(fours, 1))}};
}

#endif

// A whole number of less than 2^22 that is added to these bits makes those of the float that is so much more than 1.5 * 2^23.
constexpr int32_t kBegunBits = 0x4b400000;
/** Such a float's whole number times a scale of F16, rounded once; `begun` is what the scale makes of 1.5 * 2^23, which is exact. */
static inline Floats begun(Floats scale) { return multiply(scale, floats(12582912.0f)); }
static inline Floats scaled(Ints begun_at_bits, Floats scale, Floats begun) {
  return multiply_subtract(as_floats(begun_at_bits), scale, begun);
}

/** The lower four bits of each byte, or the upper ones. */
static inline Ints nibbles(Ints a, int upper) { return both(right(a, 4 * upper), bytes(15)); }

/** Those with `count` bits above them, from bit `first` of each byte of `high`. */
template <int count>
static inline Ints joined(Ints low, int upper, Ints high, int first) {
  Ints above;
  if (!ZSE_KNOWN(first))
    above = left(right(high, first), 4);
  else  // in one go: what passes from byte to byte is not taken
    above = first < 4 ? left(high, 4 - first) : right(high, first - 4);
  return either(nibbles(low, upper), both(above, bytes(((1 << count) - 1) << 4)));
}

}  // namespace zse::kernels

#endif
