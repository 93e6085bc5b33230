// Owns where the fifth bits of Q5_0 and Q5_1 lie among rows of weights that are put together, and how they meet their nibbles. Pure; any thread. Everything is
// static: each variant of the backend has its own. For lanes_types.h; matmul.cpp moves them when weights are put in order and taken out.
#pragma once

#include "products_rows.h"

#ifdef ZSE_LANES

#include <cstdint>
#include <cstring>

namespace zse::kernels {

// The fifth bits of a row's 32 columns, as Q5_0 and Q5_1 have them: bit `i` is column i's. Where rows lie together, bits of columns that follow each other lie in
// bytes that do: byte k has those of columns k, 4 + k, 8 + k and so on, from its lowest bit up. So a row's bits are in reach of the bytes that they belong to.
static inline uint32_t spread_fifth_bits(uint32_t bits) {
  uint32_t spread = 0;
  for (int k = 0; k < 4; k++) {
    uint32_t byte = (bits >> k) & 0x11111111;
    byte = (byte | byte >> 3) & 0x03030303;
    byte = (byte | byte >> 6) & 0x000f000f;
    spread |= ((byte | byte >> 12) & 0xff) << 8 * k;
  }
  return spread;
}

static inline uint32_t gather_fifth_bits(uint32_t spread) {
  uint32_t bits = 0;
  for (int k = 0; k < 4; k++) {
    uint32_t byte = (spread >> 8 * k) & 0xff;
    byte = (byte | byte << 12) & 0x000f000f;
    byte = (byte | byte << 6) & 0x03030303;
    bits |= ((byte | byte << 3) & 0x11111111) << k;
  }
  return bits;
}

template <class Stored>
static inline void change_fifth_bits(Stored& block, uint32_t (*change)(uint32_t)) {
  uint32_t bits;
  memcpy(&bits, block.qh, sizeof(bits));
  bits = change(bits);
  memcpy(block.qh, &bits, sizeof(bits));
}

// How a row's block is changed before its bytes are put beside others', and back: of most types it is not.
template <class Stored>
static inline void spread_bits(Stored&) {}
static inline void spread_bits(block_q5_0& block) { change_fifth_bits(block, spread_fifth_bits); }
static inline void spread_bits(block_q5_1& block) { change_fifth_bits(block, spread_fifth_bits); }
template <class Stored>
static inline void gather_bits(Stored&) {}
static inline void gather_bits(block_q5_0& block) { change_fifth_bits(block, gather_fifth_bits); }
static inline void gather_bits(block_q5_1& block) { change_fifth_bits(block, gather_fifth_bits); }

/** Weights of five bits: nibbles, and what is above them in `high`, a word of each row. */
ZSE_INLINE void five_bits(Ints* w, const void* nibbles_of_rows, const void* high) {
#ifdef ZSE_LANES_PAIRED
  // A register has two words each of two rows: those bits are moved there, each byte's by as many places as its columns need.
  alignas(16) static constexpr uint8_t kRows[2][16] = {{0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7},
                                                       {8, 9, 10, 11, 8, 9, 10, 11, 12, 13, 14, 15, 12, 13, 14, 15}};
  const int8x16_t odd = vreinterpretq_s8_s64(vdupq_n_s64(0x0101010100000000));
  for (int i = 0; i < 8; i++) {
    const Ints low = word(nibbles_of_rows, i % 4);
    const uint8x16_t of_rows = vreinterpretq_u8_s32(looked_up(high, load(kRows[i % 2])));
    const int first = i / 4 * 4 + i % 4 / 2 * 2;  // the first word's columns, in fours
    const uint8x16_t above = vshlq_u8(of_rows, vsubq_s8(vdupq_n_s8(static_cast<int8_t>(4 - first)), odd));
    w[i] = either(nibbles(low, i / 4), both(vreinterpretq_s32_u8(above), bytes(16)));
  }
#else
  const Ints above = word(high, 0);
  for (int i = 0; i < 8; i++) w[i] = joined<1>(word(nibbles_of_rows, i % 4), i / 4, above, i);
#endif
}

}  // namespace zse::kernels

#endif
