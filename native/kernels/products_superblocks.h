// Owns the products of K-quants and IQ4_XS for AVX-512 with VNNI, and with AMX's tiles where there are any (products_tiles.h). Pure; any thread.
// Everything is static: each variant of the backend has its own.
//
// Activations are rounded in super-blocks of 256 columns, as ggml rounds them for these types (its Q8_K), and a super-block's products are summed in
// whole numbers, the whole scales of its blocks included. Only then they are scaled. So VNNI and tiles give the same sums, and a row gives the same
// alone and with others, to the bit.
#pragma once

#include "products_tiles.h"
#include "rounded_pieces.h"
#include "superblock_rounding.h"

#ifdef ZSE_SUPERBLOCKS

namespace zse::kernels {

template <class Kind>
struct SuperProducts {
  using Stored = typename Kind::Stored;
  using Block = typename Kind::Block;
  using Scales = WholeScales<Kind>;
  template <int n>
  using Together = SuperTogether<Kind, n>;
  static_assert(Kind::kColumns == QK_K && sizeof(Block) == kLanes * sizeof(Stored));
  static_assert(sizeof(Together<3>) == 3 * sizeof(Together<1>), "rows lie as close together as alone");
  static constexpr int kInterleaved = kLanes;     // rows of weights
  static constexpr int64_t kNearBytes = 1 << 20;  // of weights, which stay near while all activations pass

  static void interleave(const Stored& from, int row, Block& to) { Kind::interleave(from, row, to); }

  static size_t row_bytes(int64_t columns) { return sizeof(Together<1>) * static_cast<size_t>(columns / QK_K); }

  /** Places in the work buffer: by tiles ten rows take no longer than sixteen. */
  static int places(int rows) { return by_tiles(rows) ? (rows + kMostTogether - 1) / kMostTogether * kMostTogether : rows; }

  /**
   * How many rows lie together from the `first` of `rows` on, those included that fill up a tile's last places. Without tiles twelve have their sums in
   * registers, of a block and of all blocks; two passes of as many are quicker than one of twelve and one of a few.
   */
  static int together(int rows, int first) {
    if (by_tiles(rows)) return kMostTogether;
    const int left = rows - first;
    return left <= 8 ? left : left == kMany || left > 16 ? kMany : (left + 1) / 2;
  }

  static constexpr int64_t kPieceColumns = QK_K;
  static void round_piece(const Piece& piece, int64_t, const char* from, size_t stride, char* to) {
    Together<1> rounded[kMostTogether];
    const Together<1>* rows[kMostTogether];
    for (int place = 0; place < piece.together; place++) {
      rows[place] = place < piece.rows ? &rounded[place] : &kZeros;
      if (place < piece.rows)
        round_super_block<Kind>(reinterpret_cast<const float*>(from + place * stride) + piece.column, rounded[place]);
    }
    join(rows, piece.together, to + piece.column / QK_K * piece.together * sizeof(Together<1>));
  }

  static void put_together(const char* const* from, int rows, int64_t columns, char* to) {
    for (int first = 0, n; first < rows; first += n) {
      n = together(rows, first);
      for (int64_t b = 0; b < columns / QK_K; b++) {
        const Together<1>* blocks[kMostTogether];
        for (int place = 0; place < n; place++)
          blocks[place] = first + place < rows ? reinterpret_cast<const Together<1>*>(from[first + place]) + b : &kZeros;
        to = join(blocks, n, to);
      }
    }
  }

  static void multiply(int64_t columns, float* const* out, const Block* weights, const char* rounded, int rows,
                       int n_columns) {
#ifdef __AMX_INT8__
    if (by_tiles(rows)) {
      const size_t bytes = kMostTogether * row_bytes(columns);
      for (int first = 0; first < rows;
           first += TilesProducts<Kind>::kMostRows, rounded += TilesProducts<Kind>::kMost * bytes)
        TilesProducts<Kind>::run(columns, out + first, weights, rounded,
                                 std::min(rows - first, TilesProducts<Kind>::kMostRows), n_columns);
      return;
    }
#endif
    // All rows pass over a few weights before the next are read.
    for (int column = 0; column < n_columns; column += kLanes, weights += columns / Kind::kColumns)
      multiply_part(columns, out, weights, rounded, rows, column);
  }

 private:
  static constexpr int kFew = 9, kMany = 12;

  static bool by_tiles([[maybe_unused]] int rows) {
#ifdef __AMX_INT8__
    return rows > kFew && has_tiles();
#else
    return false;
#endif
  }

  static constexpr Together<1> kZeros{};

  // Blocks of `n` rows that were rounded alone, one beside the other from `to` on. Returns where they end.
  static char* join(const Together<1>* const* rows, int n, char* to) {
    to = n == kMostTogether ? join_values<kStep>(rows, n, to) : join_values<columns_together(1)>(rows, n, to);
    // Each one's scale, its sums, and whether it is wide.
    for (int word = 0; word < 2 + Together<1>::kSums; word++)
      for (int place = 0; place < n; place++, to += 4)
        memcpy(to, reinterpret_cast<const char*>(rows[place]->scales) + 4 * word, 4);
    return to;
  }

  // `columns` of a row lie together.
  template <int columns>
  static char* join_values(const Together<1>* const* rows, int n, char* to) {
    for (int column = 0; column < QK_K; column += columns)
      for (int place = 0; place < n; place++, to += columns) memcpy(to, rows[place]->values[0][0] + column, columns);
    return to;
  }

  // Which of all passes over the same weights: each has memory bring a part of the next ones.
  struct Pass {
    int number, of;
  };

  // Sixteen rows of weights, from `column` of the results on.
  static void multiply_part(int64_t columns, float* const* out, const Block* weights, const char* rounded, int rows,
                            int column) {
    Pass pass{0, 0};
    for (int first = 0; first < rows; first += together(rows, first)) pass.of++;
    for (int first = 0, n; first < rows; first += n, pass.number++) {
      n = together(rows, first);
      const char* from = rounded + first * row_bytes(columns);
      float* const* to = out + first;
      switch (n) {
        case 1: multiply_together<1>(columns, to, weights, from, column, pass); break;
        case 2: multiply_together<2>(columns, to, weights, from, column, pass); break;
        case 3: multiply_together<3>(columns, to, weights, from, column, pass); break;
        case 4: multiply_together<4>(columns, to, weights, from, column, pass); break;
        case 5: multiply_together<5>(columns, to, weights, from, column, pass); break;
        case 6: multiply_together<6>(columns, to, weights, from, column, pass); break;
        case 7: multiply_together<7>(columns, to, weights, from, column, pass); break;
        case 8: multiply_together<8>(columns, to, weights, from, column, pass); break;
        default: multiply_together<kMany>(columns, to, weights, from, column, pass);
      }
    }
  }

  template <int n>
  static void multiply_together(int64_t columns, float* const* out, const Block* weights, const char* rounded, int column,
                                Pass pass) {
    const int64_t blocks = columns / Kind::kColumns;
    const auto* activations = reinterpret_cast<const Together<n>*>(rounded);
    alignas(64) float sums[n][kLanes];  // in memory: registers hold whole numbers
#pragma GCC unroll 8
    for (int row = 0; row < n; row++) store(sums[row], zero());
#pragma GCC unroll 8
    for (int row = 0; row < n; row++) __builtin_prefetch(out[row] + column, 1);  // it will be written
    const size_t ahead = pass.of == 1 ? kReadAhead : blocks * sizeof(Block);
    int until = pass.number;
    for (int64_t b = 0; b < blocks; b++) {
      const size_t wanted = until == 0 ? ahead : 0;
      if constexpr (!Pairs<Kind>::kAny)
        add_parts<n>(sums, weights[b], activations[b], wanted);
      else if (any_wide<n>(activations[b]))
        add_wide<n>(sums, weights[b], activations[b], wanted);
      else
        add_pairs<n>(sums, weights[b], activations[b], wanted);
      until = (until == 0 ? pass.of : until) - 1;
    }
#pragma GCC unroll 8
    for (int row = 0; row < n; row++) store(out[row] + column, _mm512_load_ps(sums[row]));
  }

  // Memory brings as many weights from so many bytes `ahead` on, if any.
  template <int n>
  ZSE_INLINE void add_pairs(float (*sums)[kLanes], const Block& block, const Together<n>& a, size_t ahead) {
    const Scales by(block);
    Ints whole[n];
    sum_pairs<Kind, n>(whole, block, by, a, ahead);
    scale<n>(sums, whole, by, a);
  }

  // Rare, so it must not lengthen the code of pairs, which is as long as caches of instructions allow.
  template <int n>
  [[gnu::noinline]] static void add_wide(float (*sums)[kLanes], const Block& block, const Together<n>& a, size_t ahead) {
    add_parts<n>(sums, block, a, ahead);
  }

  template <int n>
  ZSE_INLINE void add_parts(float (*sums)[kLanes], const Block& block, const Together<n>& a, size_t ahead) {
    constexpr int kGroups = 8 / Scales::kParts;
    const Scales by(block);
    Ints whole[n];
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) whole[row] = words(0);
    for_blocks<false>([&](int j) ZSE_INLINE_LAMBDA {
      if (ahead > 0) fetch<8>(block, j, ahead);
#pragma GCC unroll 2
      for (int part = 0; part < Scales::kParts; part++) {
        Ints sums_of[n];
#pragma GCC unroll 16
        for (int row = 0; row < n; row++)
          sums_of[row] = words(Scales::kMinima ? 0 : begin_of(a, Scales::kParts * j + part, row));
#pragma GCC unroll 8
        for (int group = kGroups * part; group < kGroups * (part + 1); group++) {
          const Ints w = Kind::columns(block, j, group);
#pragma GCC unroll 16
          for (int row = 0; row < n; row++) sums_of[row] = add_products(sums_of[row], w, a.at(32 * j + 4 * group, row));
        }
        const Ints scale = by.of(j, part);
#pragma GCC unroll 16
        for (int row = 0; row < n; row++) whole[row] = _mm512_add_epi32(whole[row], _mm512_mullo_epi32(sums_of[row], scale));
      }
    });
    scale<n>(sums, whole, by, a);
  }

  template <int n>
  ZSE_INLINE void scale(float (*sums)[kLanes], const Ints* whole, const Scales& by, const Together<n>& a) {
    const Factors<Kind> factors(by);
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) store(sums[row], factors.add(_mm512_load_ps(sums[row]), whole[row], a, row));
  }
};

}  // namespace zse::kernels

#endif
