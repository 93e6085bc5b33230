// Owns the arithmetic of attention on vectors: scores of cells, weighted sums of their values, exponentials. Pure; any thread.
// Everything is static: each variant of the backend has its own, and the compiler knows all calls.
//
// Queries lie in the lanes of the vectors: K needs no transposing, and the soft maximum no horizontal steps. Where they are too few for
// that (one token of a model whose KV heads serve one to three query heads), cells lie in the lanes instead. All arithmetic is in F32.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "quants.h"
#include "simd-mappings.h"
#include "vec.h"

#if defined(GGML_SIMD) && !defined(__ARM_FEATURE_SVE) && !defined(__riscv_v_intrinsic)
#define ZSE_VECTORS  // of a size that the compiler knows

namespace zse::kernels {

using Vector = GGML_F32_VEC;
constexpr int kLanes = GGML_F32_EPR;

constexpr int kBlockCells = 96;  // cells of the cache in a block; a multiple of the rows of every score kernel (4, 6, 12)

// C[i][j] (+)= sum over k of A[i * a_row + k * a_step] * B[k * b_step + j], for `rows` i and `vectors` vectors of j.
template <int rows, int vectors, bool adds>
static inline void multiply(float* C, int64_t c_row, const float* A, int64_t a_row, int64_t a_step, const float* B,
                            int64_t b_step, int64_t length) {
  Vector sums[rows][vectors];
  for (int i = 0; i < rows; i++) {
    for (int v = 0; v < vectors; v++) {
      sums[i][v] = adds ? GGML_F32_VEC_LOAD(C + i * c_row + v * kLanes) : GGML_F32_VEC_SET1(0.0f);
    }
  }
  for (int64_t k = 0; k < length; k++) {
    Vector b[vectors];
    for (int v = 0; v < vectors; v++) b[v] = GGML_F32_VEC_LOAD(B + k * b_step + v * kLanes);
    for (int i = 0; i < rows; i++) {
      const Vector a = GGML_F32_VEC_SET1(A[i * a_row + k * a_step]);
      for (int v = 0; v < vectors; v++) sums[i][v] = GGML_F32_VEC_FMA(sums[i][v], b[v], a);
    }
  }
  for (int i = 0; i < rows; i++) {
    for (int v = 0; v < vectors; v++) GGML_F32_VEC_STORE(C + i * c_row + v * kLanes, sums[i][v]);
  }
}

// scores[cell][lane] = keys[cell] . queries[lane]; computes up to 11 cells more than asked, so keys and scores have room for them.
template <int vectors>
static void score(float* scores, const float* keys, const float* queries, int64_t key_size, int n_cells) {
  constexpr int rows = vectors == 1 ? 12 : vectors == 2 ? 6 : 4, lanes = vectors * kLanes;
  static_assert(kBlockCells % rows == 0, "a block has room for whole kernels");
  for (int cell = 0; cell < n_cells; cell += rows) {
    multiply<rows, vectors, false>(scores + cell * lanes, lanes, keys + cell * key_size, key_size, 1, queries, lanes,
                                   key_size);
  }
}

template <int rows>
static void add_values_of_rows(float* out, const float* weights, int64_t lanes, const float* values, int64_t value_size,
                               int n_cells) {
  int64_t j = 0;
  for (; j + 2 * kLanes <= value_size; j += 2 * kLanes) {
    multiply<rows, 2, true>(out + j, value_size, weights, 1, lanes, values + j, value_size, n_cells);
  }
  for (; j < value_size; j += kLanes) {
    multiply<rows, 1, true>(out + j, value_size, weights, 1, lanes, values + j, value_size, n_cells);
  }
}

// out[row] += sum over cells of weights[cell][row] * values[cell], rows in equal groups of up to six.
static void add_values(float* out, const float* weights, int64_t lanes, const float* values, int64_t value_size, int n_rows,
                       int n_cells) {
  const int groups = (n_rows + 5) / 6;
  for (int group = 0, row = 0; group < groups; group++) {
    const int rows = (n_rows - row) / (groups - group);
    float* o = out + row * value_size;
    const float* w = weights + row;
    switch (rows) {
      case 1: add_values_of_rows<1>(o, w, lanes, values, value_size, n_cells); break;
      case 2: add_values_of_rows<2>(o, w, lanes, values, value_size, n_cells); break;
      case 3: add_values_of_rows<3>(o, w, lanes, values, value_size, n_cells); break;
      case 4: add_values_of_rows<4>(o, w, lanes, values, value_size, n_cells); break;
      case 5: add_values_of_rows<5>(o, w, lanes, values, value_size, n_cells); break;
      case 6: add_values_of_rows<6>(o, w, lanes, values, value_size, n_cells); break;
    }
    row += rows;
  }
}

// Keys or values for the kernels of few query rows, read in units of so many vectors: what is no F32 is converted as it is read.
struct F32Cells {
  using Row = const float*;
  static constexpr int kUnit = 1;
  Row first;
  int64_t size;
  Row cell(int i) const { return first + i * size; }
  static void load(Row row, int64_t at, Vector* to) { to[0] = GGML_F32_VEC_LOAD(row + at); }
  static float one(Row row, int64_t at) { return row[at]; }
};

#if defined(__AVX__) && defined(__F16C__)
#define ZSE_READS_F16
struct F16Cells {
  using Row = const ggml_fp16_t*;
  static constexpr int kUnit = 1;
  const char* base;
  size_t bytes;
  const int32_t* cells;
  Row cell(int i) const { return reinterpret_cast<Row>(base + cells[i] * bytes); }
#if defined(__AVX512F__)
  static void load(Row row, int64_t at, Vector* to) {
    to[0] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + at)));
  }
#else
  static void load(Row row, int64_t at, Vector* to) {
    to[0] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + at)));
  }
#endif
  static float one(Row row, int64_t at) { return GGML_CPU_FP16_TO_FP32(row[at]); }
};
#endif

#if defined(__AVX2__) && defined(__F16C__)
#define ZSE_READS_BLOCKS
#if defined(__AVX512F__)
static inline Vector whole_numbers(__m128i sixteen) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sixteen)); }
#else
static inline Vector whole_numbers(__m128i eight) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)); }
#endif

// The 32 numbers of a block, of which these are the first sixteen and the others.
static inline void scale_block(ggml_half scale, __m128i first, __m128i others, Vector* to) {
  const Vector by = GGML_F32_VEC_SET1(GGML_CPU_FP16_TO_FP32(scale));
#if defined(__AVX512F__)
  to[0] = GGML_F32_VEC_MUL(by, whole_numbers(first));
  to[1] = GGML_F32_VEC_MUL(by, whole_numbers(others));
#else
  to[0] = GGML_F32_VEC_MUL(by, whole_numbers(first));
  to[1] = GGML_F32_VEC_MUL(by, whole_numbers(_mm_unpackhi_epi64(first, first)));
  to[2] = GGML_F32_VEC_MUL(by, whole_numbers(others));
  to[3] = GGML_F32_VEC_MUL(by, whole_numbers(_mm_unpackhi_epi64(others, others)));
#endif
}

static inline void load_block(const block_q8_0& block, Vector* to) {
  const auto* numbers = reinterpret_cast<const __m128i*>(block.qs);
  scale_block(block.d, _mm_loadu_si128(numbers), _mm_loadu_si128(numbers + 1), to);
}

static inline void load_block(const block_q4_0& block, Vector* to) {
  const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.qs));
  const __m128i low = _mm_set1_epi8(15), eight = _mm_set1_epi8(8);
  scale_block(block.d, _mm_sub_epi8(_mm_and_si128(both, low), eight),
              _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(both, 4), low), eight), to);
}

template <class Block>
struct BlockCells {
  static_assert(QK8_0 == 32 && QK4_0 == 32, "a block is two lines of sixteen");
  using Row = const Block*;
  static constexpr int kUnit = 32 / kLanes;
  const char* base;
  size_t bytes;
  const int32_t* cells;
  Row cell(int i) const { return reinterpret_cast<Row>(base + cells[i] * bytes); }
  static void load(Row row, int64_t at, Vector* to) { load_block(row[at / 32], to); }
};

template <class Block>
static void convert_blocks(const char* row, float* out, int64_t size) {
  const auto* blocks = reinterpret_cast<const Block*>(row);
  for (int64_t at = 0; at < size; at += 32) {
    Vector numbers[32 / kLanes];
    load_block(blocks[at / 32], numbers);
    for (int v = 0; v < 32 / kLanes; v++) GGML_F32_VEC_STORE(out + at + v * kLanes, numbers[v]);
  }
}
#endif

// out[i] = sum over the lanes of x[i]
static inline void sum_lanes(float* out, const Vector x[4]) {
#if defined(__AVX__)
#if defined(__AVX512F__)
  __m256 half[4];
  for (int i = 0; i < 4; i++) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x[i]), 1));
    half[i] = _mm256_add_ps(_mm512_castps512_ps256(x[i]), high);
  }
#else
  const Vector* half = x;
#endif
  const __m256 sums = _mm256_hadd_ps(_mm256_hadd_ps(half[0], half[1]), _mm256_hadd_ps(half[2], half[3]));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1)));
#else
  for (int i = 0; i < 4; i++) {
    float lanes[kLanes], sum = 0.0f;
    GGML_F32_VEC_STORE(lanes, x[i]);
    for (const float lane : lanes) sum += lane;
    out[i] = sum;
  }
#endif
}

// scores[row][cell] = keys[cell] . queries[row], rows of the scores being kBlockCells apart.
template <int rows, class Cells>
static void score_few(float* scores, const Cells& keys, const float* queries, int64_t key_size, int n_cells) {
  constexpr int kUnit = Cells::kUnit;
  for (int cell = 0; cell < n_cells; cell += 4) {
    Vector sums[rows][4];
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < 4; i++) sums[r][i] = GGML_F32_VEC_SET1(0.0f);
    }
    typename Cells::Row key[4];
    for (int i = 0; i < 4; i++) key[i] = keys.cell(std::min(cell + i, n_cells - 1));
    int64_t d = 0;
    for (; d + kUnit * kLanes <= key_size; d += kUnit * kLanes) {
      for (int i = 0; i < 4; i++) {
        Vector k[kUnit];
        Cells::load(key[i], d, k);
        for (int u = 0; u < kUnit; u++) {
          for (int r = 0; r < rows; r++) {
            sums[r][i] = GGML_F32_VEC_FMA(sums[r][i], k[u], GGML_F32_VEC_LOAD(queries + r * key_size + d + u * kLanes));
          }
        }
      }
    }
    for (int r = 0; r < rows; r++) {
      float* four = scores + r * kBlockCells + cell;  // a block has room for whole fours
      sum_lanes(four, sums[r]);
      if constexpr (kUnit == 1) {  // blocks are whole
        for (int64_t rest = d; rest < key_size; rest++) {
          for (int i = 0; i < 4; i++) four[i] += Cells::one(key[i], rest) * queries[r * key_size + rest];
        }
      }
    }
  }
}

template <int rows, int vectors, class Cells>
static void add_values_few(float* out, const float* weights, const Cells& values, int64_t value_size, int64_t j,
                           int n_cells) {
  Vector sums[rows][vectors];
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < vectors; v++) sums[r][v] = GGML_F32_VEC_LOAD(out + r * value_size + j + v * kLanes);
  }
  for (int cell = 0; cell < n_cells; cell++) {
    const auto row = values.cell(cell);
    Vector value[vectors];
    for (int v = 0; v < vectors; v += Cells::kUnit) Cells::load(row, j + v * kLanes, value + v);
    for (int r = 0; r < rows; r++) {
      const Vector weight = GGML_F32_VEC_SET1(weights[r * kBlockCells + cell]);
      for (int v = 0; v < vectors; v++) sums[r][v] = GGML_F32_VEC_FMA(sums[r][v], value[v], weight);
    }
  }
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < vectors; v++) GGML_F32_VEC_STORE(out + r * value_size + j + v * kLanes, sums[r][v]);
  }
}

// As many vectors at once as there are registers for; what is left of a row, with half as many, down to one unit.
template <int rows, int vectors, class Cells>
static void add_values_from(float* out, const float* weights, const Cells& values, int64_t value_size, int64_t j,
                            int n_cells) {
  for (; j + vectors * kLanes <= value_size; j += vectors * kLanes) {
    add_values_few<rows, vectors>(out, weights, values, value_size, j, n_cells);
  }
  if constexpr (vectors > Cells::kUnit) {
    constexpr int fewer = std::max(Cells::kUnit, vectors / 2 / Cells::kUnit * Cells::kUnit);
    if (j < value_size) add_values_from<rows, fewer>(out, weights, values, value_size, j, n_cells);
  }
}

// out[row] += sum over cells of weights[row][cell] * values[cell]
template <int rows, class Cells>
static void add_values_few(float* out, const float* weights, const Cells& values, int64_t value_size, int n_cells) {
  constexpr int vectors = kLanes == 16 ? (rows <= 3 ? 8 : 4) : rows == 1 ? 8 : rows == 2 ? 4 : 3;
  add_values_from<rows, std::max(Cells::kUnit, vectors)>(out, weights, values, value_size, 0, n_cells);
}

// x[i] = exp(x[i]); n is a multiple of the vector's width.
static inline void exponentiate(float* x, int n) {
#if (defined(__AVX512F__) && defined(__AVX512DQ__)) || (!defined(__AVX512F__) && defined(__AVX2__) && defined(__FMA__)) || \
    (defined(__ARM_NEON) && defined(__aarch64__))
  for (int i = 0; i < n; i += kLanes) GGML_F32_VEC_STORE(x + i, ggml_v_expf(GGML_F32_VEC_LOAD(x + i)));
#else
  ggml_vec_soft_max_f32(n, x, x, 0.0f);
#endif
}

}  // namespace zse::kernels

#endif
