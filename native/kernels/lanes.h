// Owns the instructions that products with interleaved weights are made of, under one set of names: a register has a 32-bit lane for each row
// of weights, and in each lane four columns. Pure; any thread. Everything is static: each variant of the backend has its own.
#pragma once

#include "ggml-cpu-impl.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && \
    defined(__AVX512VNNI__)
#define ZSE_LANES 16
#endif

#ifdef ZSE_LANES

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace zse::kernels {

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
static inline Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
static inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
static inline Ints both(Ints a, Ints b) { return _mm512_and_si512(a, b); }
static inline Ints either(Ints a, Ints b) { return _mm512_or_si512(a, b); }
static inline Ints right(Ints a, int bits) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(bits)); }
static inline Ints left(Ints a, int bits) { return _mm512_sll_epi32(a, _mm_cvtsi32_si128(bits)); }
static inline Ints right_signed(Ints a, int bits) { return _mm512_sra_epi32(a, _mm_cvtsi32_si128(bits)); }
static inline void store(float* to, Floats a) { _mm512_storeu_ps(to, a); }
static inline Floats zero() { return _mm512_setzero_ps(); }

/** Adds to `sum`, in each lane, the products of four unsigned weights with four signed values that all lanes share. */
static inline Ints add_products(Ints sum, Ints weights, const int8_t* values) {
  int32_t four;
  memcpy(&four, values, sizeof(four));
  return _mm512_dpbusd_epi32(sum, weights, words(four));
}

/** 32 activations as whole numbers up to 127 times a scale, rounded as ggml's Q8_0 rounds them. */
struct Rounded {
  float scale;
  int32_t sums[2];  // of the first sixteen and of the others
};

static inline Rounded round_block(const float* from, int8_t* to) {
  const __m512 a = _mm512_loadu_ps(from), b = _mm512_loadu_ps(from + 16);
  const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
  const __m512 inverse = _mm512_set1_ps(largest != 0 ? 127.0f / largest : 0.0f);
  const __m512i first = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)),
                second = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtsepi32_epi8(first));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16), _mm512_cvtsepi32_epi8(second));
  return {largest / 127.0f, {_mm512_reduce_add_epi32(first), _mm512_reduce_add_epi32(second)}};
}

}  // namespace zse::kernels

#endif
