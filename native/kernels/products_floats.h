// Owns the products of weights in F16 and BF16, a register's rows of them interleaved, with activations as they are, for the processors of lanes.h
// (on ARM BF16 alone).
// Pure; any thread. Everything is static: each variant of the backend has its own.
//
// Nothing is rounded but sums: a weight becomes a float when it is read, and is multiplied by the same column of several rows of activations.
// ggml rounds activations to the weights' type and sums along a row; here a lane is a row of weights, so that no sum is left to be gathered.
// One row of activations or many, a result is rounded alike: each is summed column by column.
#pragma once

#include "products_rows.h"
#include "rounded_pieces.h"

// On AVX-512 without VNNI registers here are AVX2's, and ggml's own for AVX-512 are as fast.
#if defined(ZSE_LANES) && (ZSE_LANES == 16 || !defined(__AVX512F__))
#define ZSE_PRODUCTS_FLOATS

#include <algorithm>
#include <cstddef>

namespace zse::kernels {

struct HalfWeight {
  using Stored = ggml_half;
  static Floats read(const Stored* weights) { return from_halves(weights); }
};

struct BrainWeight {
  using Stored = ggml_bf16_t;
  static Floats read(const Stored* weights) { return from_brains(weights); }
};

// What matmul.cpp asks for.
template <class Weight>
struct FloatProducts {
  using Stored = typename Weight::Stored;
  struct Block {  // one column
    Stored weights[ZSE_LANES];
  };
  static constexpr int kInterleaved = ZSE_LANES;    // rows of weights
  static constexpr int64_t kNearBytes = 256 << 10;  // of weights, which stay near while all activations pass

  static constexpr int64_t slice_columns(int) { return 0; }  // all at once

  static void interleave(const Stored& from, int row, Block& to) { to.weights[row] = from; }

  static size_t row_bytes(int64_t columns) { return sizeof(float) * static_cast<size_t>(columns); }

  /** Places in the work buffer for so many rows of activations. */
  static int places(int rows) { return rows; }

  static constexpr int64_t kPieceColumns = 256;
  static int together(int rows, int first) { return std::min(kMost, rows - first); }
  static void round_piece(const Piece& piece, int64_t, const char* from, size_t stride, char* to) {
    const int n = piece.together;
    for (int place = 0; place < n; place++) {
      const auto* row = reinterpret_cast<const float*>(from + place * stride);
      auto* values = reinterpret_cast<float*>(to) + place;
      for (int64_t column = piece.column; column < piece.end; column++) values[column * n] = row[column];
    }
  }

  /** The same of rows that were rounded alone. */
  static void put_together(const char* const* from, int rows, int64_t columns, char* to) {
    for (int row = 0; row < rows; row++) {
      const int first = row / kMost * kMost, n = std::min(kMost, rows - first);
      const auto* values = reinterpret_cast<const float*>(from[row]);
      auto* together = reinterpret_cast<float*>(to + first * row_bytes(columns)) + (row - first);
      for (int64_t column = 0; column < columns; column++) together[column * n] = values[column];
    }
  }

  /** out[row][column] for `rows` rows of activations and `n_columns` rows of weights, a multiple of kInterleaved. */
  static void multiply(int64_t columns, float* const* out, const Block* weights, const char* rounded, int rows,
                       int n_columns) {
    for (int first = 0; first < rows; first += kNear) {
      const int end = std::min(rows, first + kNear);
      for (int column = 0; column < n_columns; column += 2 * kInterleaved) {
        for (int row = first; row < end; row += kMost) {
          const auto* values = reinterpret_cast<const float*>(rounded + row * row_bytes(columns));
          multiply_some(std::min(kMost, rows - row), n_columns - column > kInterleaved, columns, out + row, column,
                        weights + column / kInterleaved * columns, values);
        }
      }
    }
  }

 private:
  // Rows of activations in one pass over the weights: as many as have their sums with two registers of weights each.
  static constexpr int kMost = ZSE_LANES == 16 ? 12 : 6;
  static constexpr int kNear = 48;  // rows of activations that stay in the nearer caches while all weights pass

  static void multiply_some(int n, bool two, int64_t columns, float* const* out, int first, const Block* weights,
                            const float* values) {
    switch (n) {
      case 1: multiply_rows<1>(two, columns, out, first, weights, values); break;
      case 2: multiply_rows<2>(two, columns, out, first, weights, values); break;
      case 3: multiply_rows<3>(two, columns, out, first, weights, values); break;
      case 4: multiply_rows<4>(two, columns, out, first, weights, values); break;
      case 5: multiply_rows<5>(two, columns, out, first, weights, values); break;
      case 6: multiply_rows<6>(two, columns, out, first, weights, values); break;
#if ZSE_LANES == 16
      case 7: multiply_rows<7>(two, columns, out, first, weights, values); break;
      case 8: multiply_rows<8>(two, columns, out, first, weights, values); break;
      case 9: multiply_rows<9>(two, columns, out, first, weights, values); break;
      case 10: multiply_rows<10>(two, columns, out, first, weights, values); break;
      case 11: multiply_rows<11>(two, columns, out, first, weights, values); break;
#endif
      default: multiply_rows<kMost>(two, columns, out, first, weights, values);
    }
  }

  template <int n>
  static void multiply_rows(bool two, int64_t columns, float* const* out, int first, const Block* weights,
                            const float* values) {
    if (two)
      multiply_registers<n, 2>(columns, out, first, weights, values);
    else
      multiply_registers<n, 1>(columns, out, first, weights, values);
  }

  template <int n, int registers>
  static void multiply_registers(int64_t columns, float* const* out, int first, const Block* weights, const float* values) {
    Floats sums[n][registers];
#pragma GCC unroll 12
    for (int row = 0; row < n; row++)
      for (int i = 0; i < registers; i++) sums[row][i] = zero();
    for (int64_t column = 0; column < columns; column++, values += n) {
      Floats w[registers];
      for (int i = 0; i < registers; i++) fetch<1>(weights[i * columns + column], 0);
      for (int i = 0; i < registers; i++) w[i] = Weight::read(weights[i * columns + column].weights);
#pragma GCC unroll 12
      for (int row = 0; row < n; row++)
        for (int i = 0; i < registers; i++) sums[row][i] = multiply_add(w[i], floats(values[row]), sums[row][i]);
    }
#pragma GCC unroll 12
    for (int row = 0; row < n; row++)
      for (int i = 0; i < registers; i++) store(out[row] + first + i * kInterleaved, sums[row][i]);
  }
};

}  // namespace zse::kernels

#endif
