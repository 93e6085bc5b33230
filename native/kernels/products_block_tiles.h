// Owns the products of weights that have a scale for 32 columns with sixteens of rows of activations, by AMX's tiles. Pure; any thread, each with tiles and
// working memory of its own. Everything is static: each variant of the backend has its own.
//
// A tile multiplies 32 columns, and its sums are scaled from memory. They are not looked at until the next two products are under way; nor is what was
// unpacked multiplied at once: a tile that is loaded from what was just written waits for it. The sums of all blocks stay in registers.
#pragma once

#include "products_rows.h"
#include "tiles.h"

#if defined(ZSE_LANES_VNNI) && ZSE_LANES == 16 && defined(__AMX_INT8__)
#define ZSE_BLOCK_TILES

#include <algorithm>

namespace zse::kernels {

template <class Kind>
class BlockTiles {
  using Block = typename Kind::Block;
  static constexpr int kRows = 16;      // of a tile
  static constexpr int kTogether = 32;  // blocks that are unpacked at once, for all tiles of activations
  using Activations = Together<kRows>;

 public:
  static constexpr int kMost = 8;  // tiles of activations in one call

  /** out[row][column] for `tiles` sixteens of rows of activations and `n_columns` rows of weights: to the bit what VNNI makes of them. */
  static void run(int64_t columns, float* const* out, const Block* weights, const char* rounded, int tiles, int n_columns) {
    const Tiles configured(kBlock);
    Near& near = own<Near>();
    const int64_t blocks = columns / kBlock;
    const auto* activations = reinterpret_cast<const Activations*>(rounded);
    for (int column = 0; column < n_columns; column += kLanes) {
      for (int row = 0; row < tiles * kRows; row++)
        _mm_prefetch(reinterpret_cast<const char*>(out[row] + column), _MM_HINT_T0);
      for (int64_t b = 0; b < blocks; b += kTogether) {
        const int n = static_cast<int>(std::min<int64_t>(kTogether, blocks - b));
        for (int i = 0; i < n; i++, weights++) {
          if (i % 4 == 0) keep_awake();
          unpack(*weights, near, i);
        }
        for (int tile = 0; tile < tiles; tile++) {
          Floats sums[kRows];
#pragma GCC unroll 16
          for (int row = 0; row < kRows; row++)
            sums[row] = b == 0 ? zero() : _mm512_loadu_ps(out[tile * kRows + row] + column);
          add_all(near, activations + tile * blocks + b, n, sums, tile == 0 ? weights - n : nullptr);
#pragma GCC unroll 16
          for (int row = 0; row < kRows; row++) store(out[tile * kRows + row] + column, sums[row]);
        }
      }
    }
  }

 private:
  struct alignas(64) Near {
    int8_t weights[kTogether][kBlock / 4][64];
    float scales[kTogether][kLanes], minima[kTogether][kLanes];
    int32_t products[4][kRows][16];
  };

  ZSE_INLINE void unpack(const Block& block, Near& near, int i) {
    Ints w[8];
    Kind::weights(w, block);
    for (int j = 0; j < 8; j++) _mm512_store_si512(near.weights[i][j], _mm512_sub_epi8(w[j], bytes(Kind::kOffset)));
    store(near.scales[i], Kind::scales(block));
    if constexpr (Kind::kMinima) store(near.minima[i], Kind::minima(block));
  }

// The numbers of tiles are written into the instructions.
#define ZSE_START(tile, activations, of_weights) \
  _tile_zero(tile);                              \
  _tile_loadd(activations, a.values, kBlock);    \
  _tile_loadd(of_weights, near.weights[i], 64);  \
  _tile_dpbssd(tile, activations, of_weights);   \
  _tile_stored(tile, near.products[tile], 64);   \
  return

  ZSE_INLINE void start(Near& near, const Activations& a, int i) {
    switch (i % 4) {
      case 0: ZSE_START(0, 4, 6);
      case 1: ZSE_START(1, 5, 7);
      case 2: ZSE_START(2, 4, 6);
      default: ZSE_START(3, 5, 7);
    }
  }
#undef ZSE_START

  // Beside tiles multiplications and conversions of 512 bits go at half their pace, additions do not. A product is less than 2^22.
  ZSE_INLINE void scale(const Near& near, const Activations& a, int i, Floats* sums) {
    const Floats scales = _mm512_load_ps(near.scales[i]), less = begun(scales);
#pragma GCC unroll 16
    for (int row = 0; row < kRows; row++) {
      if constexpr (Kind::kMinima)
        sums[row] = multiply_add(_mm512_load_ps(near.minima[i]), floats(a.sums.parts[0][row]), sums[row]);
      const Ints product = _mm512_add_epi32(load(near.products[i % 4][row]), words(kBegunBits));
      if constexpr (Kind::kBegun)
        sums[row] = multiply_add(scaled(product, scales, less), floats(a.scales[row]), sums[row]);
      else
        sums[row] = multiply_add(_mm512_sub_ps(as_floats(product), floats(12582912.0f)),
                                 multiply(scales, floats(a.scales[row])), sums[row]);
    }
  }

  // Meanwhile memory brings what comes after `blocks`: fetched as they are unpacked it would be waited for.
  static void add_all(Near& near, const Activations* a, int n, Floats* of, const Block* blocks) {
    Floats sums[kRows];
#pragma GCC unroll 16
    for (int row = 0; row < kRows; row++) sums[row] = of[row];
    constexpr int kAhead = 2;
    for (int i = 0; i < std::min(kAhead, n); i++) start(near, a[i], i);
    for (int i = 0; i < n; i++) {
      if (i + kAhead < n) start(near, a[i + kAhead], i + kAhead);
      if (blocks) fetch<1>(blocks[i], 0);
      scale(near, a[i], i, sums);
    }
#pragma GCC unroll 16
    for (int row = 0; row < kRows; row++) of[row] = sums[row];
  }
};

}  // namespace zse::kernels

#endif
