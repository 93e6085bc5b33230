// Owns the products of interleaved weights with activations in bytes, as matmul.cpp asks for them: of types with blocks of 32 columns on AVX-512 with VNNI, on
// AVX-VNNI and AVX2, and of all types on ARM (lanes.h). Pure; any thread. Everything is static: each variant of the backend has its own.
//
// Activations are rounded in blocks of 32 as in ggml's Q8_0; for ARM's K-quants that is finer than ggml's own blocks of 256.
// One row of activations or many, a result is rounded alike.
#pragma once

#include "lanes_types.h"
#include "products_block_tiles.h"
#include "rounded_pieces.h"

#ifdef ZSE_LANES

#include <algorithm>
#include <cstddef>

namespace zse::kernels {

template <class Kind>
struct LanesProducts {
  using Stored = typename Kind::Stored;
  using Block = typename Kind::Block;
  static_assert(sizeof(Block) == kLanes * sizeof(Stored), "as large as what it is made of");
  static constexpr int kInterleaved = kLanes;       // rows of weights
  static constexpr int64_t kNearBytes = 256 << 10;  // of weights, which stay near while all activations pass

  static constexpr int64_t slice_columns(int) { return 0; }  // all at once

  static void interleave(const Stored& from, int row, Block& to) { Kind::interleave(from, row, to); }

  /** Of a row of activations in the work buffer. */
  static size_t row_bytes(int64_t columns) { return sizeof(Together<1>) * static_cast<size_t>(columns / kBlock); }

  /** Places in the work buffer for so many rows of activations. */
  static int places(int rows) {
    const int last = rows % kMostTogether;
    return last < kFilledUp ? rows : rows - last + kMostTogether;
  }

  /** How many of `rows` rows are multiplied together, from the `first` on, those included that fill up the last places. */
  static int together(int rows, int first) { return rows - first >= kFilledUp ? kMostTogether : std::min(rows - first, 8); }

  // A row's values in Together<n>: one after the other, but by eight from one row and the next where those are multiplied in pairs.
  static void put_values(int8_t* to, int n, int place, const int8_t* values) {
#ifdef ZSE_LANES_MATRIX
    if ((place | 1) < n) {
      to += place / 2 * 2 * kBlock + place % 2 * 8;
      for (int i = 0; i < kBlock / 8; i++) memcpy(to + 16 * i, values + 8 * i, 8);
      return;
    }
#endif
    (void)n;
    memcpy(to + place * kBlock, values, kBlock);
  }

  static constexpr int64_t kPieceColumns = 256;
  static void round_piece(const Piece& piece, int64_t, const char* from, size_t stride, char* to) {
    const int n = piece.together;
    to += piece.column / kBlock * n * sizeof(Together<1>);
    // Row by row: of the other order, whose places in a block are 32 bytes and 4 bytes apart, GCC 12 makes addresses that it takes for no writing at all,
    // and leaves out the rounding.
    for (int place = 0; place < n; place++) {
      const float* row = place < piece.rows ? reinterpret_cast<const float*>(from + place * stride) + piece.column : kZeros;
      char* block = to;
      for (int64_t column = piece.column; column < piece.end;
           column += kBlock, row += kBlock, block += n * sizeof(Together<1>))
        round_one(row, n, place, block);
    }
  }

  /** The same of rows that were rounded alone. */
  static void put_together(const char* const* from, int rows, int64_t columns, char* to) {
    for (int first = 0, n; first < rows; first += n) {
      n = together(rows, first);
      for (int64_t b = 0; b < columns / kBlock; b++, to += n * sizeof(Together<1>)) {
        for (int place = 0; place < n; place++) {
          const char* block =
              first + place < rows ? from[first + place] + b * sizeof(Together<1>) : reinterpret_cast<const char*>(kZeros);
          put_values(reinterpret_cast<int8_t*>(to), n, place, reinterpret_cast<const int8_t*>(block));
          // The scale and what is wanted of the sums, words all of them.
          for (int word = 0; word < 3; word++)
            memcpy(to + n * kBlock + (word * n + place) * 4, block + kBlock + word * 4, 4);
        }
      }
    }
  }

  /** out[row][column] for `rows` rows of activations and `n_columns` rows of weights, a multiple of kInterleaved. */
  static void multiply(int64_t columns, float* const* out, const Block* weights, const char* rounded, int rows,
                       int n_columns) {
#ifdef ZSE_BLOCK_TILES
    if constexpr (Kind::kColumns == kBlock) {
      using Sixteens = BlockTiles<Kind>;
      for (int tiles; has_tiles() && rows >= kMostTogether; rows -= tiles * kMostTogether) {
        tiles = std::min(rows / kMostTogether, Sixteens::kMost);
        Sixteens::run(columns, out, weights, rounded, tiles, n_columns);
        out += tiles * kMostTogether;
        rounded += tiles * kMostTogether * row_bytes(columns);
      }
    }
#endif
    // Rows that take more than one pass take the next ones over weights that are near still. Of many, the rows are what should stay near.
    const int step = together(rows, 0) < rows && rows <= 2 * kMostTogether ? kLanes : n_columns;
    for (int column = 0; column < n_columns; column += step, weights += step / kLanes * (columns / Kind::kColumns)) {
      multiply_part(columns, out, weights, rounded, rows, column, std::min(n_columns, column + step));
    }
  }

 private:
  // So many rows or more take longer in two passes than sixteen in one, with AVX-512 (docs/lab/matrix-products.md).
  static constexpr int kFilledUp = kLanes == 16 ? 13 : kMostTogether;
  // Where sums begin, before what is taken off each weight.
#ifdef ZSE_LANES_NEON
  static constexpr int32_t kBeginning = 0;
#else
  static constexpr int32_t kBeginning = Kind::kBegun ? kBegunBits : 0;
#endif
  static constexpr float kZeros[kPieceColumns] = {};  // a row, or a rounded block, that fills up

  /** The same of the rows of weights from one column of the products to another. */
  static void multiply_part(int64_t columns, float* const* out, const Block* weights, const char* rounded, int rows,
                            int begin, int end) {
    for (int first = 0; first < rows;) {
      const int n = together(rows, first);
      const char* from = rounded + first * row_bytes(columns);
      float* const* to = out + first;
      switch (n) {
        case 1: multiply_together<1>(columns, to, weights, from, begin, end); break;
        case 2: multiply_together<2>(columns, to, weights, from, begin, end); break;
        case 3: multiply_together<3>(columns, to, weights, from, begin, end); break;
        case 4: multiply_together<4>(columns, to, weights, from, begin, end); break;
        case 5: multiply_together<5>(columns, to, weights, from, begin, end); break;
        case 6: multiply_together<6>(columns, to, weights, from, begin, end); break;
        case 7: multiply_together<7>(columns, to, weights, from, begin, end); break;
        case 8: multiply_together<8>(columns, to, weights, from, begin, end); break;
        default: multiply_together<kMostTogether>(columns, to, weights, from, begin, end, rows - first);
      }
      first += n;
    }
  }

  // `given` of the rows are wanted; the others fill up.
  template <int n>
  static void multiply_together(int64_t columns, float* const* out, const Block* weights, const char* rounded, int begin,
                                int end, int given = n) {
    const int64_t blocks = columns / Kind::kColumns;
    const auto* activations = reinterpret_cast<const Together<n>*>(rounded);
    for (int column = begin; column < end; column += kLanes, weights += blocks) {
      Floats sums[n];
#pragma GCC unroll 16
      for (int row = 0; row < n; row++) sums[row] = zero();
      for (int64_t b = 0; b < blocks; b++) {
        if constexpr (Kind::kColumns == kBlock) fetch<1>(weights[b], 0);
        Kind::template add<n>(sums, weights[b], activations + b * (Kind::kColumns / kBlock));
      }
      store_rows<n>(out, column, sums, given);
    }
  }

  // A block of one row, at its place among `n`.
  static void round_one(const float* from, int n, int place, char* to) {
    int8_t values[kBlock];
    const Rounded rounded = round_block(from, values);
    put_values(reinterpret_cast<int8_t*>(to), n, place, values);
    const float scale = Kind::kHalfScale ? GGML_CPU_FP16_TO_FP32(GGML_CPU_FP32_TO_FP16(rounded.scale)) : rounded.scale;
    memcpy(to + n * kBlock + place * sizeof(float), &scale, sizeof(scale));
    char* sums = to + n * (kBlock + sizeof(float)) + place * 4;
    const int32_t sum = rounded.sums[0] + rounded.sums[1];
    if (Kind::kSums == Sums::parts) {
      const float part = scale * static_cast<float>(sum);
      memcpy(sums, &part, 4);
    } else {
      const bool halves = Kind::kSums == Sums::halves;
      const int32_t offsets[2] = {kBeginning - Kind::kOffset * (halves ? rounded.sums[0] : sum),
                                  halves ? -Kind::kOffset * rounded.sums[1] : 0};
      memcpy(sums, offsets, 4);
      memcpy(sums + n * 4, offsets + 1, 4);
    }
  }

  template <int n>
  ZSE_INLINE void store_rows(float* const* out, int column, const Floats* sums, [[maybe_unused]] int given) {
    int row = 0;
#ifdef ZSE_LANES_MATRIX
#pragma GCC unroll 8
    for (; row + 1 < n; row += 2) {
      store(out[row] + column, vuzp1q_f32(sums[row], sums[row + 1]));
      store(out[row + 1] + column, vuzp2q_f32(sums[row], sums[row + 1]));
    }
#endif
#pragma GCC unroll 16
    for (; row < n; row++)
      if (n <= kFilledUp || row < given) store(out[row] + column, sums[row]);
  }
};

}  // namespace zse::kernels

#endif
