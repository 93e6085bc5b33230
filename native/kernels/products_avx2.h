// Owns the products of weights of Q4_0, Q4_1 and Q8_0, eight rows interleaved, with Q8_0 activations, for AVX2 and AVX-512 without VNNI. Pure; any thread.
// Everything is static: each variant of the backend has its own.
//
// ggml multiplies signed by signed bytes in Q4_0, which AVX2 has no instruction for: it moves the sign of one to the other and widens
// every product to 32 bits, five instructions where one would do. A weight of Q4_0 is a nibble less eight, so here the nibble stays
// unsigned, as _mm256_maddubs_epi16 wants it, four products are summed in 16 bits (at most 4 * 2 * 15 * 127 = 15240), and eight times the
// sum of the block's activations, which all weight rows share, is taken off once. The integers are the same as ggml's, and so is every
// rounding. Q4_1 has a minimum for each block in place of the eight. Q8_0 needs the signs, but eight rows share what comes after the
// products. ggml interleaves neither on x86. One row of activations or many, a result is rounded alike.
#pragma once

#include "ggml-cpu-impl.h"  // on MSVC it says which instructions come with AVX2
#include "products_rows.h"
#include "repack.h"
#include "rounded_pieces.h"
#include "simd-mappings.h"

#if defined(ZSE_LANES) && !defined(ZSE_LANES_VNNI) && !defined(ZSE_LANES_NEON)
#define ZSE_PRODUCTS_AVX2

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace zse::kernels {

constexpr int kInterleaved = 8;  // rows of weights

// The blocks of eight rows. Nibbles are as the types themselves have them, unlike in ggml's own block_q4_0x8, which flips a bit of each.
struct block_q4_1x8 {
  ggml_half d[8];
  ggml_half m[8];
  uint8_t qs[QK4_1 * 4];
};
static_assert(sizeof(block_q4_1x8) == 8 * sizeof(block_q4_1), "as large as what it is made of");

constexpr int kMostRows = 16;  // of activations in one pass over the weights

// What a block of a row of activations has beside its values.
struct RowBlock {
  float scale;
  float sum;       // of the values, scaled
  int32_t offset;  // eight times the sum of the values
};

static inline RowBlock describe(float scale, int32_t sum) { return {scale, scale * static_cast<float>(sum), 8 * sum}; }

static inline RowBlock describe(const block_q8_0& block) {
  const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.qs));
  const __m256i pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), values), _mm256_set1_epi16(1));
  __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0x4e));
  sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0xb1));
  return describe(_cvtsh_ss(block.d), _mm_cvtsi128_si32(sums));
}

// Of four rows; their values lie interleaved by eights.
static inline void describe(const block_q8_0x4& block, RowBlock* rows) {
  const __m256i* values = reinterpret_cast<const __m256i*>(block.qs);
  __m256i pairs = _mm256_setzero_si256();
  for (int i = 0; i < 4; i++)
    pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(_mm256_set1_epi8(1), _mm256_loadu_si256(values + i)));
  const __m256i halves = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  alignas(16) int32_t sums[4];
  alignas(16) float scales[4];
  _mm_store_si128(reinterpret_cast<__m128i*>(sums),
                  _mm_hadd_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
  _mm_store_ps(scales, _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(block.d))));
  for (int row = 0; row < 4; row++) rows[row] = describe(scales[row], sums[row]);
}

// Eight bytes of a row of activations, for four weight rows.
static inline __m256i repeat_8(const int8_t* values) {
  int64_t bytes;
  memcpy(&bytes, values, sizeof(bytes));
  return _mm256_set1_epi64x(bytes);
}

// Of weight rows 0 1 4 5 2 3 6 7, the order in which sums come out.
static inline __m256 load_halves(const ggml_half* halves) {
  return _mm256_cvtph_ps(
      _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves)), _MM_SHUFFLE(3, 1, 2, 0)));
}

static inline void store_in_order(float* to, __m256 sums) {
  _mm256_storeu_ps(to, _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(sums), _MM_SHUFFLE(3, 1, 2, 0))));
}

// One block of eight weight rows, its nibbles as bytes 0 to 15: in order of their columns, rows 0 to 3 and rows 4 to 7.
struct Nibbles {
  __m256i rows_0123[4], rows_4567[4];

  explicit Nibbles(const void* qs) {
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    const __m256i* stored = static_cast<const __m256i*>(qs);
    for (int half = 0; half < 2; half++) {
      const __m256i low = _mm256_loadu_si256(stored + 2 * half);
      const __m256i high = _mm256_loadu_si256(stored + 2 * half + 1);
      rows_0123[half] = _mm256_and_si256(low, nibble);
      rows_4567[half] = _mm256_and_si256(high, nibble);
      rows_0123[half + 2] = _mm256_and_si256(_mm256_srli_epi16(low, 4), nibble);
      rows_4567[half + 2] = _mm256_and_si256(_mm256_srli_epi16(high, 4), nibble);
    }
  }

  // Sums of products with a row of activations whose groups of eight values lie `stride` bytes apart.
  template <int stride>
  __m256i product(const int8_t* values) const {
    __m256i low = _mm256_maddubs_epi16(rows_0123[0], repeat_8(values));
    __m256i high = _mm256_maddubs_epi16(rows_4567[0], repeat_8(values));
    for (int i = 1; i < 4; i++) {
      const __m256i group = repeat_8(values + i * stride);
      low = _mm256_add_epi16(low, _mm256_maddubs_epi16(rows_0123[i], group));
      high = _mm256_add_epi16(high, _mm256_maddubs_epi16(rows_4567[i], group));
    }
    const __m256i ones = _mm256_set1_epi16(1);
    return _mm256_hadd_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones));
  }
};

template <class Block>
struct Weights;

template <>
struct Weights<block_q4_0x8> : Nibbles {
  __m256 scales;

  explicit Weights(const block_q4_0x8& block) : Nibbles(block.qs), scales(load_halves(block.d)) {}

  template <int stride>
  __m256 add_product(__m256 sums, const int8_t* values, const RowBlock& row) const {
    const __m256i whole = _mm256_sub_epi32(product<stride>(values), _mm256_set1_epi32(row.offset));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), _mm256_mul_ps(scales, _mm256_set1_ps(row.scale)), sums);
  }
};

template <>
struct Weights<block_q4_1x8> : Nibbles {
  __m256 scales, minima;

  explicit Weights(const block_q4_1x8& block)
      : Nibbles(block.qs), scales(load_halves(block.d)), minima(load_halves(block.m)) {}

  template <int stride>
  __m256 add_product(__m256 sums, const int8_t* values, const RowBlock& row) const {
    sums = _mm256_fmadd_ps(minima, _mm256_set1_ps(row.sum), sums);
    const __m256 whole = _mm256_cvtepi32_ps(product<stride>(values));
    return _mm256_fmadd_ps(whole, _mm256_mul_ps(scales, _mm256_set1_ps(row.scale)), sums);
  }
};

template <>
struct Weights<block_q8_0x8> {
  const __m256i* stored;  // rows 0 to 3 and rows 4 to 7 of eight columns, four times
  __m256i sizes[8];
  __m256 scales;

  explicit Weights(const block_q8_0x8& block)
      : stored(reinterpret_cast<const __m256i*>(block.qs)), scales(load_halves(block.d)) {
    for (int i = 0; i < 8; i++) sizes[i] = _mm256_abs_epi8(_mm256_loadu_si256(stored + i));
  }

  template <int stride>
  __m256 add_product(__m256 sums, const int8_t* values, const RowBlock& row) const {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i halves[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int i = 0; i < 8; i++) {
      const __m256i group = _mm256_sign_epi8(repeat_8(values + i / 2 * stride), _mm256_loadu_si256(stored + i));
      halves[i % 2] = _mm256_add_epi32(halves[i % 2], _mm256_madd_epi16(_mm256_maddubs_epi16(sizes[i], group), ones));
    }
    const __m256 whole = _mm256_cvtepi32_ps(_mm256_hadd_epi32(halves[0], halves[1]));
    return _mm256_fmadd_ps(whole, _mm256_mul_ps(scales, _mm256_set1_ps(row.scale)), sums);
  }
};

// Four times `groups` rows of activations; `rows` has those of each block side by side.
template <int groups, class Block>
static void multiply_groups(int blocks, float* const* out, const Block* weights, const block_q8_0x4* activations,
                            const RowBlock* rows, int columns) {
  for (int column = 0; column < columns; column += kInterleaved, weights += blocks) {
    __m256 sums[4 * groups];
    for (__m256& sum : sums) sum = _mm256_setzero_ps();
    for (int b = 0; b < blocks; b++) {
      fetch<1>(weights[b], 0);
      const Weights<Block> w(weights[b]);
      for (int group = 0; group < groups; group++) {
        const int8_t* values = activations[group * blocks + b].qs;
        const RowBlock* of = rows + (b * groups + group) * 4;
        for (int row = 0; row < 4; row++) {
          __m256& sum = sums[4 * group + row];
          sum = w.template add_product<32>(sum, values + 8 * row, of[row]);
        }
      }
    }
    for (int row = 0; row < 4 * groups; row++) store_in_order(out[row] + column, sums[row]);
  }
}

// out[row][column] for `n_rows` rows of activations, a multiple of four, and `columns` rows of weights, a multiple of eight.
template <class Block>
static void multiply_rows(int blocks, float* const* out, const Block* weights, const block_q8_0x4* activations, int n_rows,
                          int columns) {
  static thread_local std::vector<RowBlock> rows;
  for (int done = 0; done < n_rows; done += kMostRows) {
    const int groups = std::min(kMostRows, n_rows - done) / 4;
    rows.resize(static_cast<size_t>(4 * groups) * blocks);
    for (int b = 0; b < blocks; b++)
      for (int group = 0; group < groups; group++)
        describe(activations[group * blocks + b], &rows[(b * groups + group) * 4]);
    switch (groups) {
      case 4: multiply_groups<4>(blocks, out, weights, activations, rows.data(), columns); break;
      case 3: multiply_groups<3>(blocks, out, weights, activations, rows.data(), columns); break;
      case 2: multiply_groups<2>(blocks, out, weights, activations, rows.data(), columns); break;
      case 1: multiply_groups<1>(blocks, out, weights, activations, rows.data(), columns); break;
    }
    out += kMostRows;
    activations += static_cast<size_t>(kMostRows / 4) * blocks;
  }
}

// The same for one row of activations.
template <class Block>
static void multiply_row(int blocks, float* out, const Block* weights, const block_q8_0* activations, int columns) {
  static thread_local std::vector<RowBlock> row;
  row.resize(blocks);
  for (int b = 0; b < blocks; b++) row[b] = describe(activations[b]);
  for (int column = 0; column < columns; column += kInterleaved, weights += blocks) {
    __m256 sums = _mm256_setzero_ps();
    for (int b = 0; b < blocks; b++) {
      fetch<1>(weights[b], 0);
      sums = Weights<Block>(weights[b]).template add_product<8>(sums, activations[b].qs, row[b]);
    }
    store_in_order(out + column, sums);
  }
}

static inline void interleave(const block_q4_0& block, int row, block_q4_0x8& to) {
  to.d[row] = block.d;
  for (int i = 0; i < 2; i++) memcpy(to.qs + 64 * i + 8 * row, block.qs + 8 * i, 8);
}

static inline void interleave(const block_q4_1& block, int row, block_q4_1x8& to) {
  const char* bytes = reinterpret_cast<const char*>(&block);
  memcpy(&to.d[row], bytes, sizeof(ggml_half));  // d and m, in a union that has no name in every language
  memcpy(&to.m[row], bytes + sizeof(ggml_half), sizeof(ggml_half));
  for (int i = 0; i < 2; i++) memcpy(to.qs + 64 * i + 8 * row, block.qs + 8 * i, 8);
}

static inline void interleave(const block_q8_0& block, int row, block_q8_0x8& to) {
  to.d[row] = block.d;
  for (int i = 0; i < 4; i++) memcpy(to.qs + 64 * i + 8 * row, block.qs + 8 * i, 8);
}

// What matmul.cpp asks for. Rounded activations lie four rows together, the last ones one by one.
template <class Of, class Interleaved>
struct ProductsAvx2 {
  using Stored = Of;
  using Block = Interleaved;
  static constexpr int kInterleaved = kernels::kInterleaved;
  static constexpr int64_t kNearBytes = 256 << 10;  // of weights, which stay near while all activations pass

  static constexpr int64_t slice_columns(int) { return 0; }  // all at once

  static void interleave(const Stored& from, int row, Block& to) { kernels::interleave(from, row, to); }

  static size_t row_bytes(int64_t columns) { return ggml_row_size(GGML_TYPE_Q8_0, columns); }

  /** Places in the work buffer for so many rows of activations. */
  static int places(int rows) { return rows; }

  static constexpr int64_t kPieceColumns = INT64_MAX;
  static int together(int rows, int first) { return rows - first >= 4 ? 4 : 1; }
  static void round_piece(const Piece& piece, int64_t columns, const char* from, size_t stride, char* to) {
    for (int64_t column = 0; column < columns; column += QK8_0) {
      block_q8_0 blocks[4];
      for (int row = 0; row < piece.together; row++)
        blocks[row] = round_one(reinterpret_cast<const float*>(from + row * stride) + column);
      to = piece.together == 4 ? put_four(blocks, to) : put_one(blocks[0], to);
    }
  }
  /** The same of rows that were rounded alone. */
  static void put_together(const char* const* from, int rows, int64_t columns, char* to) {
    const int64_t blocks = columns / QK8_0;
    int row = 0;
    for (; row + 4 <= rows; row += 4) {
      for (int64_t b = 0; b < blocks; b++) {
        block_q8_0 four[4];
        for (int i = 0; i < 4; i++) four[i] = reinterpret_cast<const block_q8_0*>(from[row + i])[b];
        to = put_four(four, to);
      }
    }
    for (; row < rows; row++, to += row_bytes(columns)) memcpy(to, from[row], row_bytes(columns));
  }

  /** out[row][column] for `rows` rows of activations and `n_columns` rows of weights, a multiple of kInterleaved. */
  static void multiply(int64_t columns, float* const* out, const Block* weights, const char* rounded, int rows,
                       int n_columns) {
    const int blocks = static_cast<int>(columns / QK8_0), whole = rows - rows % 4;
    if (whole > 0) multiply_rows(blocks, out, weights, reinterpret_cast<const block_q8_0x4*>(rounded), whole, n_columns);
    for (int row = whole; row < rows; row++) {
      const auto* one = reinterpret_cast<const block_q8_0*>(rounded + row * row_bytes(columns));
      multiply_row(blocks, out[row], weights, one, n_columns);
    }
  }

 private:
  static block_q8_0 round_one(const float* from) {
    block_q8_0 block;
    block.d = GGML_CPU_FP32_TO_FP16(round_block(from, block.qs).scale);
    return block;
  }

  // Both return where they end.
  static char* put_one(const block_q8_0& block, char* to) {
    memcpy(to, &block, sizeof(block));
    return to + sizeof(block);
  }
  static char* put_four(const block_q8_0* blocks, char* to) {
    auto& four = *reinterpret_cast<block_q8_0x4*>(to);
    for (int i = 0; i < 4; i++) {
      four.d[i] = blocks[i].d;
      for (int eight = 0; eight < 4; eight++) memcpy(four.qs + 32 * eight + 8 * i, blocks[i].qs + 8 * eight, 8);
    }
    return to + sizeof(four);
  }
};

}  // namespace zse::kernels

#endif
