// Owns products of up to seven rows of activations with weights that lie as ggml's AMX kernels have them (ggml-cpu/amx/mmq.cpp, which calls this:
// vendor/patches/0033). Pure; any thread. Everything is static: each variant of the backend has its own.
//
// An AMX tile takes sixteen rows of activations in the same time as two, and its results go through memory. So a step of two tokens took twice as
// long as one of a single token, for which ggml has a kernel with VNNI. This is that kernel for a few rows: weights are read once for all of them,
// and fetched ahead.
// The integers are the same and so is every rounding.
#pragma once

#include "products_rows.h"

#if defined(ZSE_LANES_VNNI) && ZSE_LANES == 16

#include <algorithm>
#include <vector>

namespace zse::kernels {

/** Up to so many rows of activations this is quicker than tiles. */
constexpr int kFewRows = 7;

// A tile: 16 rows of weights by 32 columns in words of four columns, and what scales them.
template <class Stored>
struct Tile;

// Two words of nibbles to a register.
static inline void load_nibbles(Ints* w, const char* tile) {
  for (int i = 0; i < 4; i++) {
    const Ints pairs = load(tile + 64 * i);
    w[2 * i] = both(pairs, bytes(15));
    w[2 * i + 1] = both(_mm512_srli_epi16(pairs, 4), bytes(15));
  }
}

template <>
struct Tile<block_q4_0> {
  using Rounded = block_q8_0;
  static constexpr int kBytes = 16 * sizeof(block_q4_0), kScales = 256, kMinima = 0;
  static constexpr int kOffset = 8;
  static void load_words(Ints* w, const char* tile) { load_nibbles(w, tile); }
};

template <>
struct Tile<block_q4_1> {
  using Rounded = block_q8_1;
  static constexpr int kBytes = 16 * sizeof(block_q4_1), kScales = 256, kMinima = 288;
  static constexpr int kOffset = 0;
  static void load_words(Ints* w, const char* tile) { load_nibbles(w, tile); }
};

template <>
struct Tile<block_q8_0> {
  using Rounded = block_q8_0;
  // Behind the scales are sums that only ggml's own kernel for one row wants.
  static constexpr int kBytes = 16 * (sizeof(block_q8_0) + sizeof(int32_t)), kScales = 512, kMinima = 0;
  static constexpr int kOffset = 128;
  static void load_words(Ints* w, const char* tile) {
    for (int i = 0; i < 8; i++) w[i] = _mm512_xor_si512(load(tile + 64 * i), bytes(-128));
  }
};

/** Of a row's block of activations: what scales it, what minima are multiplied with, and where sums of its products begin. */
struct FewRowsBlock {
  float scale, sum;
  int32_t begin;
};

static inline FewRowsBlock few_rows_block(const block_q8_0& block, int offset) {
  int32_t sum = 0;
  for (int i = 0; i < QK8_0; i++) sum += block.qs[i];
  return {GGML_CPU_FP16_TO_FP32(block.d), 0, -offset * sum};
}
static inline FewRowsBlock few_rows_block(const block_q8_1& block, int) {
  ggml_half halves[2];  // in a union that has no name in every language
  memcpy(halves, &block, sizeof(halves));
  return {GGML_CPU_FP16_TO_FP32(halves[0]), GGML_CPU_FP16_TO_FP32(halves[1]), 0};
}

template <class Stored>
class FewRows {
  using Of = Tile<Stored>;
  using Rounded = typename Of::Rounded;

 public:
  /** out[row * stride + i] for `rows` rows of activations, up to kFewRows, and `tiles` times 16 rows of weights. */
  static void run(int rows, int blocks, const void* rounded, const char* weights, int tiles, float* out, int stride) {
    const auto* values = static_cast<const Rounded*>(rounded);
    static thread_local std::vector<FewRowsBlock> beside;
    beside.resize(static_cast<size_t>(rows) * blocks);
    for (int b = 0; b < blocks; b++)
      for (int row = 0; row < rows; row++) beside[b * rows + row] = few_rows_block(values[row * blocks + b], Of::kOffset);
    switch (rows) {
      case 1: all<1, 4>(blocks, values, beside.data(), weights, tiles, out, stride); break;
      case 2: all<2, 4>(blocks, values, beside.data(), weights, tiles, out, stride); break;
      case 3: all<3, 4>(blocks, values, beside.data(), weights, tiles, out, stride); break;
      case 4: all<4, 4>(blocks, values, beside.data(), weights, tiles, out, stride); break;
      case 5: all<5, 2>(blocks, values, beside.data(), weights, tiles, out, stride); break;
      case 6: all<6, 2>(blocks, values, beside.data(), weights, tiles, out, stride); break;
      default: all<7, 2>(blocks, values, beside.data(), weights, tiles, out, stride);
    }
  }

 private:
  static constexpr int kAhead = 4608 / Of::kBytes;  // tiles of the same rows of weights

  template <int rows, int abreast>
  static void all(int blocks, const Rounded* values, const FewRowsBlock* beside, const char* weights, int tiles, float* out,
                  int stride) {
    int tile = 0;
    for (; tile + abreast <= tiles; tile += abreast)
      some<rows, abreast>(blocks, values, beside, weights + tile * blocks * Of::kBytes, out + 16 * tile, stride);
    for (; tile < tiles; tile++)
      some<rows, 1>(blocks, values, beside, weights + tile * blocks * Of::kBytes, out + 16 * tile, stride);
  }

  // Has memory bring what is needed soon: a processor that reads ahead by itself reads too little (docs/lab/matrix-products.md).
  ZSE_INLINE void fetch(const char* weights, int blocks, int i, int b, int abreast) {
    const int later = b + kAhead;
    const char* tile =
        weights +
        static_cast<int64_t>(later < blocks ? i * blocks + later : (i + abreast - 1) * blocks + later) * Of::kBytes;
    fetch_bytes(tile, Of::kBytes);
  }

  // As many tiles side by side as have their sums in registers.
  template <int rows, int abreast>
  static void some(int blocks, const Rounded* values, const FewRowsBlock* beside, const char* weights, float* out,
                   int stride) {
    Floats sums[abreast][rows];
#pragma GCC unroll 4
    for (int i = 0; i < abreast; i++)
#pragma GCC unroll 7
      for (int row = 0; row < rows; row++) sums[i][row] = zero();
    for (int b = 0; b < blocks; b++, beside += rows) {
#pragma GCC unroll 4
      for (int i = 0; i < abreast; i++) {
        const char* tile = weights + (i * blocks + b) * Of::kBytes;
        fetch(weights, blocks, i, b, abreast);
        Ints w[8], whole[rows];
        Of::load_words(w, tile);
        const Floats scale = from_halves(reinterpret_cast<const ggml_half*>(tile + Of::kScales));
#pragma GCC unroll 7
        for (int row = 0; row < rows; row++) whole[row] = words(beside[row].begin);
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++)
#pragma GCC unroll 7
          for (int row = 0; row < rows; row++)
            whole[row] = add_products(whole[row], w[k], values[row * blocks + b].qs + 4 * k);
#pragma GCC unroll 7
        for (int row = 0; row < rows; row++) {
          sums[i][row] = multiply_add(to_floats(whole[row]), multiply(scale, floats(beside[row].scale)), sums[i][row]);
          if constexpr (Of::kMinima > 0) {
            const Floats minimum = from_halves(reinterpret_cast<const ggml_half*>(tile + Of::kMinima));
            sums[i][row] = multiply_add(minimum, floats(beside[row].sum), sums[i][row]);
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < abreast; i++)
#pragma GCC unroll 7
      for (int row = 0; row < rows; row++) store(out + row * stride + 16 * i, sums[i][row]);
  }
};

/** Whether this is the quickest for so many rows. One row of Q8_0 is ggml's. */
static inline bool has_few_rows(ggml_type type, int rows) {
  return rows <= kFewRows && (type == GGML_TYPE_Q4_0 || type == GGML_TYPE_Q4_1 || (type == GGML_TYPE_Q8_0 && rows > 1));
}

/** FewRows of the type. */
static inline void multiply_few_rows(ggml_type type, int rows, int blocks, const void* rounded, const char* weights,
                                     int tiles, float* out, int stride) {
  switch (type) {
    case GGML_TYPE_Q4_0: FewRows<block_q4_0>::run(rows, blocks, rounded, weights, tiles, out, stride); break;
    case GGML_TYPE_Q4_1: FewRows<block_q4_1>::run(rows, blocks, rounded, weights, tiles, out, stride); break;
    default: FewRows<block_q8_0>::run(rows, blocks, rounded, weights, tiles, out, stride);
  }
}

}  // namespace zse::kernels

#endif
