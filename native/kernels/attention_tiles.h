// Owns attention's two products by AMX's tiles, which multiply numbers of 16 bits (bfloat16) and add in F32. Pure; any thread, each with tiles of its
// own. Everything is static: each variant of the backend has its own.
//
// Such a number has eight significant bits. So numbers are cut into parts of that size: queries and weights, which are F32, into three without loss, keys and values
// into two, of F16 without loss. Five products of parts are what one of F32 would be; the sixth is too small for it. A tile is sixteen rows of sixteen words, a word
// being two numbers that are multiplied with the same two of the other tile. Which two lie in a word is free, so they are taken sixteen apart: then no number
// changes its lane while it is cut.
#pragma once

#include "attention_vectors.h"
#include "tiles.h"

#if defined(ZSE_VECTORS) && defined(__AMX_BF16__) && defined(__AMX_INT8__) && defined(__AVX512F__) && defined(__AVX512DQ__)
#define ZSE_ATTENTION_TILES

namespace zse::kernels {

constexpr int kTileRows = 16, kTileWords = 256, kTileRowBytes = 64;
constexpr int kNumbers = 32;  // in a row of a tile
static_assert(kBlockCells % kNumbers == 0, "a block is whole tiles");

constexpr int kParts = 3;  // of a number of F32; keys and values have two

/** Sixteen words of the first parts, the second and so on. */
template <int parts>
struct Parts {
  __m512i part[parts];
};

/** Of the numbers x[i] and y[i], which go into one word. All parts are rounded to the nearest. */
template <int parts>
static inline Parts<parts> cut(Vector x, Vector y) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  const auto rounded = [](Vector number) {
    return _mm512_add_epi32(_mm512_castps_si512(number), _mm512_set1_epi32(0x8000));
  };
  Parts<parts> cut;
  for (int i = 0; i < parts; i++) {
    const __m512i a = rounded(x), b = rounded(y);
    x = _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_and_si512(a, upper)));
    y = _mm512_sub_ps(y, _mm512_castsi512_ps(_mm512_and_si512(b, upper)));
    cut.part[i] = _mm512_ternarylogic_epi32(_mm512_srli_epi32(a, 16), b, upper, 0xf8);  // a >> 16 | (b & upper)
  }
  return cut;
}

/** Rows become columns: sixteen rows of sixteen words. */
static inline void transpose(__m512i rows[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    rows[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    rows[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

/** Sixteen rows of words as tiles whose rows are the words: one for each part, `part_words` apart. */
static inline void store_transposed(const Parts<kParts> rows[16], uint32_t* to, int64_t part_words) {
  for (int part = 0; part < kParts; part++, to += part_words) {
    __m512i turned[16];
    for (int i = 0; i < 16; i++) turned[i] = rows[i].part[part];
    transpose(turned);
    for (int i = 0; i < 16; i++) _mm512_storeu_si512(to + 16 * i, turned[i]);
  }
}

/** Reads the 32 numbers of a cell from `at` on. */
template <class Cells>
static inline void load_numbers(typename Cells::Row row, int64_t at, Vector to[2]) {
  for (int u = 0; u < 2; u += Cells::kUnit) Cells::load(row, at + u * kLanes, to + u);
}

/** Sixteen queries, or fewer, as tiles: [part][step of 32 numbers][word][query]. `query(i)` has key_size numbers, and null those that there are none of. */
template <class Query>
static void cut_queries(uint32_t* to, const Query& query, float scale, int64_t key_size) {
  const Vector by = _mm512_set1_ps(scale);
  for (int64_t d = 0; d < key_size; d += kNumbers, to += kTileWords) {
    Parts<kParts> rows[16];
    for (int i = 0; i < 16; i++) {
      const float* from = query(i);
      const auto numbers = [&](int64_t at) {
        return from ? _mm512_mul_ps(_mm512_loadu_ps(from + at), by) : _mm512_setzero_ps();
      };
      rows[i] = cut<kParts>(numbers(d), numbers(d + 16));
    }
    store_transposed(rows, to, key_size / 2 * kTileRows);
  }
}

/** Keys as tiles: [part][sixteen cells][step of 32 numbers][cell][word]. */
template <class Cells>
static void cut_keys(uint32_t* to, const Cells& keys, int64_t key_size, int n_cells) {
  const int64_t low = kBlockCells * key_size / 2;
  for (int cell = 0; cell < n_cells; cell++) {
    const auto row = keys.cell(cell);
    uint32_t* tile = to + cell / 16 * (16 * key_size / 2) + cell % 16 * 16;
    for (int64_t d = 0; d < key_size; d += kNumbers, tile += kTileWords) {
      Vector numbers[2];
      load_numbers<Cells>(row, d, numbers);
      const Parts<2> parts = cut<2>(numbers[0], numbers[1]);
      _mm512_storeu_si512(tile, parts.part[0]);
      _mm512_storeu_si512(tile + low, parts.part[1]);
    }
  }
}

/** Values as tiles: [part][step of 32 cells][sixteen values][word, of two cells][value]. Cells that there are none of are nought. */
template <class Cells>
static void cut_values(uint32_t* to, const Cells& values, int64_t value_size, int n_cells) {
  const int64_t low = kBlockCells / 2 * value_size;
  for (int first = 0; first < n_cells; first += kNumbers, to += kTileRows * value_size) {
    for (int word = 0; word < 16; word++) {
      const int one = first + word, other = one + 16;
      uint32_t* tile = to + word * 16;
      for (int64_t j = 0; j < value_size; j += kNumbers, tile += 2 * kTileWords) {
        Vector x[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, y[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        if (one < n_cells) load_numbers<Cells>(values.cell(one), j, x);
        if (other < n_cells) load_numbers<Cells>(values.cell(other), j, y);
        for (int half = 0; half < 2; half++) {
          const Parts<2> parts = cut<2>(x[half], y[half]);
          _mm512_storeu_si512(tile + kTileWords * half, parts.part[0]);
          _mm512_storeu_si512(tile + kTileWords * half + low, parts.part[1]);
        }
      }
    }
  }
}

// Where tile (part, number, step) of an operand begins. Each lies by itself.
struct TilesAt {
  const uint32_t* first;
  int64_t part, number, step;  // words from one to the next
  const uint32_t* operator()(int of_part, int of_number, int64_t of_step) const {
    return first + of_part * part + of_number * number + of_step * step;
  }
};

// Sums of `a_tiles` by `b_tiles` tiles over `steps` steps. Tiles 0 to 3 have the sums, 4 and 5 rows, 6 and 7 columns. One of both has three parts, the
// other two; the smallest products come first.
template <bool a_has_three, int a_tiles, int b_tiles>
static inline void multiply_tiles(int64_t steps, const TilesAt& a, const TilesAt& b) {
#define ZSE_LOAD_A(part)                           \
  _tile_loadd(4, a(part, 0, step), kTileRowBytes); \
  if constexpr (a_tiles == 2) _tile_loadd(5, a(part, 1, step), kTileRowBytes)
#define ZSE_LOAD_B(part)                           \
  _tile_loadd(6, b(part, 0, step), kTileRowBytes); \
  if constexpr (b_tiles == 2) _tile_loadd(7, b(part, 1, step), kTileRowBytes)
#define ZSE_EACH_PRODUCT()                             \
  _tile_dpbf16ps(0, 4, 6);                             \
  if constexpr (b_tiles == 2) _tile_dpbf16ps(1, 4, 7); \
  if constexpr (a_tiles == 2) _tile_dpbf16ps(2, 5, 6); \
  if constexpr (a_tiles == 2 && b_tiles == 2) _tile_dpbf16ps(3, 5, 7)
#define ZSE_FIVE_PRODUCTS(LOAD_TWO, LOAD_THREE) \
  LOAD_TWO(0);                                  \
  LOAD_THREE(2);                                \
  ZSE_EACH_PRODUCT();                           \
  LOAD_THREE(1);                                \
  ZSE_EACH_PRODUCT();                           \
  LOAD_TWO(1);                                  \
  ZSE_EACH_PRODUCT();                           \
  LOAD_THREE(0);                                \
  ZSE_EACH_PRODUCT();                           \
  LOAD_TWO(0);                                  \
  ZSE_EACH_PRODUCT()
  for (int64_t step = 0; step < steps; step++) {
    if constexpr (a_has_three) {
      ZSE_FIVE_PRODUCTS(ZSE_LOAD_B, ZSE_LOAD_A);
    } else {
      ZSE_FIVE_PRODUCTS(ZSE_LOAD_A, ZSE_LOAD_B);
    }
  }
#undef ZSE_LOAD_A
#undef ZSE_LOAD_B
#undef ZSE_EACH_PRODUCT
#undef ZSE_FIVE_PRODUCTS
}

/** scores[cell][lane] of sixteen lanes or two sixteens; keys and queries as cut above. Whole tiles of cells are computed, so there is room for them. */
template <int groups>
static void score_by_tiles(float* scores, const uint32_t* keys, const uint32_t* queries, int64_t key_size, int n_cells) {
  constexpr int64_t lanes = groups * kTileRows, bytes = lanes * sizeof(float);
  const TilesAt b{queries, key_size / 2 * kTileRows, kParts * key_size / 2 * kTileRows, kTileWords};
  for (int cell = 0; cell < n_cells; cell += 2 * kTileRows) {
    const TilesAt a{keys + cell * key_size / 2, kBlockCells * key_size / 2, kTileRows * key_size / 2, kTileWords};
    float* to = scores + cell * lanes;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    multiply_tiles<false, 2, groups>(key_size / kNumbers, a, b);
    _tile_stored(0, to, bytes);
    _tile_stored(2, to + kTileRows * lanes, bytes);
    if constexpr (groups == 2) {
      _tile_stored(1, to + kTileRows, bytes);
      _tile_stored(3, to + kTileRows * lanes + kTileRows, bytes);
    }
  }
}

/** out[lane][value] += sum over cells of weights[cell][lane] * values[cell]; weights [part][group][step][lane][word]. */
template <int groups>
static void add_values_by_tiles(float* out, const uint32_t* weights, const uint32_t* values, int64_t value_size,
                                int n_cells) {
  constexpr int64_t most_steps = kBlockCells / kNumbers;
  const int64_t bytes = value_size * static_cast<int64_t>(sizeof(float));
  const TilesAt a{weights, groups * most_steps * kTileWords, most_steps * kTileWords, kTileWords};
  for (int64_t j = 0; j < value_size; j += kNumbers) {
    const TilesAt b{values + j * kTileRows, kBlockCells / 2 * value_size, kTileWords, kTileRows * value_size};
    float* to = out + j;
    float* others = to + kTileRows * value_size;
    _tile_loadd(0, to, bytes);
    _tile_loadd(1, to + kTileRows, bytes);
    if constexpr (groups == 2) {
      _tile_loadd(2, others, bytes);
      _tile_loadd(3, others + kTileRows, bytes);
    }
    multiply_tiles<true, groups, 2>((n_cells + kNumbers - 1) / kNumbers, a, b);
    _tile_stored(0, to, bytes);
    _tile_stored(1, to + kTileRows, bytes);
    if constexpr (groups == 2) {
      _tile_stored(2, others, bytes);
      _tile_stored(3, others + kTileRows, bytes);
    }
  }
}

/**
 * Weights of a block's cells, exp(score - shift), cut for the tiles; and their sums, which are added to total[lane]. Cells that there are none of have none.
 */
template <int groups>
static void weigh_by_tiles(uint32_t* weights, const float* scores, const float* shift, float* total, int n_cells) {
  constexpr int lanes = groups * kTileRows;
  constexpr int most_steps = kBlockCells / kNumbers;
  for (int group = 0; group < groups; group++) {
    const Vector down = _mm512_loadu_ps(shift + group * kTileRows);
    Vector sum = _mm512_loadu_ps(total + group * kTileRows);
    const float* from = scores + group * kTileRows;
    const auto weight = [&](int cell) {
      if (cell >= n_cells) return _mm512_setzero_ps();
      const Vector w = ggml_v_expf(_mm512_sub_ps(_mm512_loadu_ps(from + cell * lanes), down));
      sum = _mm512_add_ps(sum, w);
      return w;
    };
    uint32_t* to = weights + group * most_steps * kTileWords;
    for (int first = 0; first < n_cells; first += kNumbers, to += kTileWords) {
      Parts<kParts> rows[16];
      for (int word = 0; word < 16; word++) {
        if (word % 4 == 0) keep_awake();
        const Vector one = weight(first + word), other = weight(first + word + 16);
        rows[word] = cut<kParts>(one, other);
      }
      store_transposed(rows, to, groups * most_steps * kTileWords);
    }
    _mm512_storeu_ps(total + group * kTileRows, sum);
  }
}

}  // namespace zse::kernels

#endif
