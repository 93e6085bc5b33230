// Owns IEEE binary16: to and from float32. Pure; any thread.
#pragma once

#include <cstdint>
#include <cstring>

namespace zse {

inline bool is_finite_half(uint16_t half) { return (half & 0x7C00) != 0x7C00; }

/** Exact. */
inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 0x1F;
  const uint32_t fraction = half & 0x3FF;
  float value;
  uint32_t bits;
  if (exponent == 0) {  // zero and subnormals: the fraction counts 2^-24
    value = static_cast<float>(fraction) * 0x1p-24f;
    std::memcpy(&bits, &value, sizeof bits);
    bits |= sign;
  } else if (exponent == 31) {
    bits = sign | 0x7F800000u | fraction << 13;
  } else {
    bits = sign | (exponent + 112) << 23 | fraction << 13;
  }
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/** Rounds to nearest, ties to even; what is too large becomes infinite. */
inline uint16_t float_to_half(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return sign | 0x7E00;
  if (magnitude >= 0x477FF000) return sign | 0x7C00;  // from 65520 on
  if (magnitude < 0x38800000) {                       // below 2^-14: adding 0.5 rounds to a multiple of 2^-24
    float shifted;
    std::memcpy(&shifted, &magnitude, sizeof shifted);
    shifted += 0.5f;
    uint32_t rounded;
    std::memcpy(&rounded, &shifted, sizeof rounded);
    return sign | static_cast<uint16_t>(rounded - 0x3F000000);
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return sign | static_cast<uint16_t>((magnitude - 0x38000000 + 0xFFF + odd) >> 13);
}

}  // namespace zse
