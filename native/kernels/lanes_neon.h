// Owns the instructions of lanes.h for ARM: a register has four rows of weights. Included by lanes.h alone. Pure; any thread.
//
// Three levels. With dotprod a lane has four columns of its row, and `sdot` multiplies them by four activations that all rows share. With i8mm a
// register has eight columns of two rows, and `smmla` multiplies them by eight of two rows of activations. NEON alone has the same order: products
// of bytes are summed in 16 bits as long as they fit.
#pragma once

#include <arm_neon.h>

#include <cfloat>
#include <cstdint>
#include <cstring>

#include "ggml-cpu-impl.h"

namespace zse::kernels {

struct Rounded {
  float scale;
  int32_t sums[2];  // of the first sixteen and of the others
};

using Ints = int32x4_t;
using Floats = float32x4_t;

static inline Ints of_bytes(int8x16_t a) { return vreinterpretq_s32_s8(a); }
static inline int8x16_t to_bytes(Ints a) { return vreinterpretq_s8_s32(a); }

static inline Ints load(const void* from) { return of_bytes(vld1q_s8(static_cast<const int8_t*>(from))); }
static inline Ints bytes(int value) { return of_bytes(vdupq_n_s8(static_cast<int8_t>(value))); }
static inline Ints words(int32_t value) { return vdupq_n_s32(value); }
static inline Floats floats(float value) { return vdupq_n_f32(value); }
static inline Floats to_floats(Ints a) { return vcvtq_f32_s32(a); }
static inline Floats from_halves(const ggml_half* halves) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves))); }
static inline Floats from_brains(const ggml_bf16_t* brains) {
  const uint16x4_t bits = vld1_u16(reinterpret_cast<const uint16_t*>(brains));
  return vreinterpretq_f32_u32(vmovl_u16(bits) << 16);
}
static inline Ints from_shorts(const uint16_t* shorts) { return vreinterpretq_s32_u32(vmovl_u16(vld1_u16(shorts))); }
/** Half of two to the power of a byte less 127, as ggml reads MXFP4's scales. */
static inline Floats from_exponents(const uint8_t* exponents) {
  int32_t four;
  memcpy(&four, exponents, sizeof(four));
  const uint16x8_t wide = vmovl_u8(vreinterpret_u8_s32(vdup_n_s32(four)));
  const Ints e = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
  const Ints normal = vshlq_n_s32(vsubq_s32(e, words(1)), 23), small = vshlq_s32(words(0x00200000), e);
  return vreinterpretq_f32_s32(vbslq_s32(vcltq_s32(e, words(2)), small, normal));
}
static inline Floats multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
static inline Floats multiply_add(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
static inline Ints both(Ints a, Ints b) { return vandq_s32(a, b); }
static inline Ints either(Ints a, Ints b) { return vorrq_s32(a, b); }
// The compilers' own shifts: one instruction where the number is known.
static inline Ints right(Ints a, int bits) { return vreinterpretq_s32_u32(vreinterpretq_u32_s32(a) >> bits); }
static inline Ints left(Ints a, int bits) { return a << bits; }
static inline Ints right_signed(Ints a, int bits) { return a >> bits; }
/** The lower four bits of each byte, or the upper ones. */
static inline Ints nibbles(Ints a, int upper) {
  const uint8x16_t bits = vreinterpretq_u8_s32(a);
  return vreinterpretq_s32_u8(upper ? vshrq_n_u8(bits, 4) : vandq_u8(bits, vdupq_n_u8(15)));
}
/** Those with `count` bits above them, from bit `first` of each byte of `high`. */
template <int count>
static inline Ints joined(Ints low, int upper, Ints high, int first) {
  const uint8x16_t four = vreinterpretq_u8_s32(low) >> (4 * upper);  // what is above four bits is replaced
  const uint8x16_t bits = vandq_u8(vreinterpretq_u8_s32(high) >> first, vdupq_n_u8((1 << count) - 1));
  return vreinterpretq_s32_u8(vsliq_n_u8(four, bits, 4));
}
static inline Ints looked_up(const void* table, Ints places) {
  return of_bytes(vqtbl1q_s8(vld1q_s8(static_cast<const int8_t*>(table)), vreinterpretq_u8_s32(places)));
}
static inline void store(float* to, Floats a) { vst1q_f32(to, a); }
static inline Floats zero() { return vdupq_n_f32(0); }

/** Eight bytes from `from`, twice. */
static inline Ints twice(const void* from) {
  int64_t eight;
  memcpy(&eight, from, sizeof(eight));
  return vreinterpretq_s32_s64(vdupq_n_s64(eight));
}

static inline Rounded round_block(const float* from, int8_t* to) {
  Floats values[8], most = zero();
  for (int i = 0; i < 8; i++) {
    values[i] = vld1q_f32(from + 4 * i);
    most = vmaxq_f32(most, vabsq_f32(values[i]));
  }
  const float largest = vmaxvq_f32(most);
  const float scale = largest / 127.0f, inverse = scale < 1.0f / FLT_MAX ? 0.0f : 1.0f / scale;  // as ggml does it on ARM
  Ints whole[8];
  for (int i = 0; i < 8; i++) whole[i] = vcvtnq_s32_f32(vmulq_n_f32(values[i], inverse));
  int32_t sums[2];
  for (int half = 0; half < 2; half++) {
    const Ints* four = whole + 4 * half;
    const int16x8_t a = vcombine_s16(vqmovn_s32(four[0]), vqmovn_s32(four[1]));
    const int16x8_t b = vcombine_s16(vqmovn_s32(four[2]), vqmovn_s32(four[3]));
    const int8x16_t stored = vcombine_s8(vqmovn_s16(a), vqmovn_s16(b));
    vst1q_s8(to + 16 * half, stored);
    sums[half] = vaddlvq_s8(stored);
  }
  return {scale, {sums[0], sums[1]}};
}

}  // namespace zse::kernels
