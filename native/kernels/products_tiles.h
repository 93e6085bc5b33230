// Owns the products of super-blocks with many rows of activations by AMX's tiles. Pure; any thread, each with tiles and working memory of its own.
// Everything is static: each variant of the backend has its own.
//
// A tile multiplies bytes, sixteen rows of activations by 64 columns of sixteen rows of weights. A weight times its block's scale has up to thirteen
// bits: it is cut into two parts that are bytes, each with a tile of its own. Weights are cut once for up to 64 rows of activations. Products go through
// memory to be scaled; those of one pair of tiles are, while the next pair is at work.
#pragma once

#include "superblocks.h"
#include "tiles.h"

#ifdef ZSE_SUPERBLOCKS

#include <algorithm>

namespace zse::kernels {

#ifdef __AMX_INT8__

// How weights times their block's scale are cut into two bytes: `put` has four columns of sixteen rows of weights. Low parts have no sign. Where scales
// have six bits, they are cut into two of three: a weight times one of those fits into a byte, and two are multiplied at once.
template <class Kind>
struct Cut {
  static constexpr int kBits = 3;  // of the low part
  static constexpr bool kHasSign = false;
  explicit Cut(Ints scale) {
    const Ints twice = either(scale, left(scale, 16));
    low_ = both(twice, _mm512_set1_epi16(7));
    high_ = _mm512_srli_epi16(twice, 3);
  }
  void put(Ints w, int8_t* low, int8_t* high) const {
    _mm512_store_si512(low, _mm512_mullo_epi16(w, low_));
    _mm512_store_si512(high, _mm512_mullo_epi16(w, high_));
  }

 private:
  Ints low_, high_;
};

// Else their product is, which has up to thirteen bits and a sign. The sign of the scale goes to the weight.
template <int offset>
struct CutProducts {
  static constexpr int kBits = 8;
  static constexpr bool kHasSign = true;
  explicit CutProducts(Ints scale) {
    const Ints highest = _mm512_broadcast_i32x4(_mm_setr_epi8(3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15));
    negative_ = _mm512_movepi8_mask(_mm512_shuffle_epi8(scale, highest));
    const Ints size = _mm512_abs_epi32(scale);
    even_ = either(size, left(size, 16));
    odd_ = left(even_, 8);
  }
  void put(Ints w, int8_t* low, int8_t* high) const {
    w = _mm512_sub_epi8(w, bytes(offset));
    w = _mm512_mask_sub_epi8(w, negative_, words(0), w);
    const Ints even = _mm512_maddubs_epi16(even_, w), odd = _mm512_maddubs_epi16(odd_, w);
    const Ints first = _mm512_set1_epi16(0xff);
    _mm512_store_si512(low, either(both(even, first), _mm512_slli_epi16(odd, 8)));
    _mm512_store_si512(high, either(_mm512_srli_epi16(even, 8), _mm512_andnot_si512(first, odd)));
  }

 private:
  __mmask64 negative_;
  Ints even_, odd_;
};

template <>
struct Cut<LanesQ6_K> : CutProducts<LanesQ6_K::kOffset> {
  using CutProducts::CutProducts;
};

template <>
struct Cut<LanesIq4Xs> : CutProducts<LanesIq4Xs::kOffset> {
  using CutProducts::CutProducts;
};

template <class Kind>
class TilesProducts {
  using Block = typename Kind::Block;
  using Scales = WholeScales<Kind>;
  static constexpr int kRows = 16;  // of a tile
  static constexpr int kSteps = QK_K / kStep;
  using Together = SuperTogether<Kind, kRows>;

 public:
  // Tiles of activations in one call: their sums stay in the nearest cache beside the weights.
  static constexpr int kMost = 4;
  static constexpr int kMostRows = kMost * kRows;

  /** out[row][column] for `rows` rows of activations, which lie in sixteens, and `n_columns` rows of weights. */
  static void run(int64_t columns, float* const* out, const Block* weights, const char* rounded, int rows, int n_columns) {
    const int tiles = (rows + kRows - 1) / kRows;
    const bool halved = rows > kRows && rows <= kRows + kRows / 2;  // the second tile has half as many rows
    const Tiles configured(kStep, halved ? kRows / 2 : kRows);
    Near& near = own<Near>();
    const int64_t blocks = columns / Kind::kColumns;
    const auto* activations = reinterpret_cast<const Together*>(rounded);
    for (int column = 0; column < n_columns; column += kLanes, weights += blocks) {
      for (int tile = 0; tile < tiles; tile++)
        for (int row = 0; row < kRows; row++) store(near.sums[tile][row], zero());
      Pair last;
      for (int64_t b = 0; b < blocks; b++) {
        read(weights[b], near, near.factors[b % 2]);
        // What will be written is fetched while tiles are at work.
        for (int64_t row = rows * b / blocks; row < rows * (b + 1) / blocks; row++) __builtin_prefetch(out[row] + column, 1);
        for (int tile = 0; tile < tiles; tile += 2) {
          const auto* a = activations + tile * blocks + b;
          const Pair pair{
              a,     tile + 1 < tiles ? a + blocks : nullptr, near.sums[tile], near.sums[tile] + kRows, &near.factors[b % 2],
              halved};
          multiply(near, pair, last, tile == 0 ? &weights[b] : nullptr);
          last = pair;
        }
      }
      for (int part = 0; part < kSteps; part++) scale(near, last, part);
      for (int row = 0; row < rows; row++) store(out[row] + column, _mm512_load_ps(near.sums[row / kRows][row % kRows]));
    }
  }

 private:
  struct alignas(64) Near {
    int8_t weights[2][kSteps][16][kStep];  // low parts and high ones, by 64 columns: sixteen groups of four of sixteen rows
    int32_t products[2][2][kRows][16];     // of two tiles of activations with low parts and with high ones
    float sums[kMost][kRows][16];
    Factors<Kind> factors[2];
  };

  // Two tiles of activations, or the last one, whose products with a super-block are under way.
  struct Pair {
    const Together* a = nullptr;
    const Together* b = nullptr;
    float (*sums_a)[16] = nullptr;
    float (*sums_b)[16] = nullptr;
    const Factors<Kind>* by = nullptr;
    bool halved = false;
  };

  static void read(const Block& block, Near& near, Factors<Kind>& factors) {
    const Scales by(block);
    factors = Factors<Kind>(by);
    constexpr int kGroups = 8 / Scales::kParts;
    for_blocks<true>([&](int j) ZSE_INLINE_LAMBDA {
      Ints w[8];
      block_columns<Kind>(w, block, j);
#pragma GCC unroll 2
      for (int part = 0; part < Scales::kParts; part++) {
        const Cut<Kind> cut(by.of(j, part));
#pragma GCC unroll 8
        for (int i = part * kGroups; i < (part + 1) * kGroups; i++)
          cut.put(w[i], near.weights[0][j / 2][j % 2 * 8 + i], near.weights[1][j / 2][j % 2 * 8 + i]);
      }
    });
  }

  // A quarter of a pair's rows.
  ZSE_INLINE void scale(Near& near, const Pair& pair, int part) {
    const Factors<Kind> by = *pair.by;
    if ((part >= 2 && !pair.b) || (part == 3 && pair.halved)) return;
    const Together& a = part < 2 ? *pair.a : *pair.b;
    float (*sums)[16] = part < 2 ? pair.sums_a : pair.sums_b;
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
      const int row = part % 2 * 8 + i;
      const Ints high = _mm512_slli_epi32(load(near.products[part / 2][1][row]), Cut<Kind>::kBits);
      const Ints whole = _mm512_add_epi32(load(near.products[part / 2][0][row]), high);
      store(sums[row], by.add(_mm512_load_ps(sums[row]), whole, a, row));
    }
  }

  // While tiles are at work, what they made last is scaled, and memory brings what comes after `block`: fetched all at once it would be waited for.
  ZSE_INLINE void multiply(Near& near, const Pair& pair, const Pair& last, const Block* block) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
#pragma GCC unroll 4
    for (int step = 0; step < kSteps; step++) {
      _tile_loadd(6, near.weights[0][step], kStep);
      _tile_loadd(7, near.weights[1][step], kStep);
      _tile_loadd(4, pair.a->values[step], kStep);
      _tile_dpbsud(0, 4, 6);
      if constexpr (Cut<Kind>::kHasSign)
        _tile_dpbssd(1, 4, 7);
      else
        _tile_dpbsud(1, 4, 7);
      if (pair.b) {
        _tile_loadd(5, pair.b->values[step], kStep);
        _tile_dpbsud(2, 5, 6);
        if constexpr (Cut<Kind>::kHasSign)
          _tile_dpbssd(3, 5, 7);
        else
          _tile_dpbsud(3, 5, 7);
      }
      if (block) fetch<kSteps>(*block, step);
      if (last.a) scale(near, last, step);
    }
    _tile_stored(0, near.products[0][0], 64);
    _tile_stored(1, near.products[0][1], 64);
    if (pair.b) {
      _tile_stored(2, near.products[1][0], 64);
      _tile_stored(3, near.products[1][1], 64);
    }
  }
};

#endif

}  // namespace zse::kernels

#endif
