// Owns in what shape interleaved weights and rounded activations meet: words of columns, rows of activations that are multiplied together, and which
// register has whose sums. Pure; any thread. For scaled_sums.h and products_lanes.h.
#pragma once

#include "lanes.h"

#ifdef ZSE_LANES

#include <cstddef>

namespace zse::kernels {

constexpr int kLanes = ZSE_LANES;
constexpr int kBlock = 32;  // activations with one scale
// Rows of activations in one pass over the weights: as many as have their sums in registers beside those.
#ifdef ZSE_LANES_NEON
constexpr int kMostTogether = 8;
#else
constexpr int kMostTogether = 16;
#endif

// Sums stay in registers only where all of this is one function.
#ifdef _MSC_VER
#define ZSE_INLINE_MEMBER __forceinline
#define ZSE_INLINE_LAMBDA
#else
#define ZSE_INLINE_MEMBER inline __attribute__((always_inline))
#define ZSE_INLINE_LAMBDA __attribute__((always_inline))  // Clang calls one that a loop calls eight times
#endif
#define ZSE_INLINE static ZSE_INLINE_MEMBER

// A block of `n` rows of activations that are multiplied together: each one's values, then their scales, then what `Kind` wants of their sums.
template <int n>
struct Together {
  int8_t values[n][kBlock];
  float scales[n];
  union {
    int32_t whole[2][n];
    float parts[2][n];
  } sums;
};
static_assert(sizeof(Together<3>) == 3 * sizeof(Together<1>), "rows lie as close together as alone");

// Words of a row go to lane `row` of as many registers.
static inline void put_words(void* to, int row, const void* from, int n) {
  for (int i = 0; i < n; i++) {
    memcpy(static_cast<char*>(to) + (i * kLanes + row) * 4, static_cast<const char*>(from) + 4 * i, 4);
  }
}

// The same of words that hold columns. Where they are paired, two registers have two words each of two rows: those of the first two, then of the others.
static inline void put_columns(void* to, int row, const void* from, int n) {
#ifdef ZSE_LANES_PAIRED
  static_assert(kLanes == 4);
  for (int i = 0; i < n; i++) {
    const int lane = (i / 2 * 2 + row / 2) * kLanes + row % 2 * 2 + i % 2;
    memcpy(static_cast<char*>(to) + lane * 4, static_cast<const char*>(from) + 4 * i, 4);
  }
#else
  put_words(to, row, from, n);
#endif
}

static inline Ints word(const void* words_of_rows, int i) {
  return load(static_cast<const char*>(words_of_rows) + 4 * kLanes * i);
}

// A register of sums: where the rows of weights are its lanes, all of it is one row of activations.
struct Row {
  int row;
  Ints whole(const int32_t* of_rows) const { return words(of_rows[row]); }
  Floats numbers(const float* of_rows) const { return floats(of_rows[row]); }
  Floats weights(Floats of_lanes) const { return of_lanes; }
  int sums() const { return row; }
};

constexpr size_t kLine = 64;             // bytes that memory brings at once
constexpr size_t kReadAhead = 18 << 10;  // bytes

/** How many lines one of `parts` parts of a block of weights has. */
template <int parts, class Block>
constexpr int kLinesOf = (sizeof(Block) / parts + kLine - 1) / kLine;

/** What memory is to bring beside a part of a block of weights: so many lines, so many bytes after the part's first one. */
struct Ahead {
  size_t bytes;
  int lines;
};

/**
 * Has memory bring what is needed soon after a block of weights: some lines for one of `parts` parts, wherever they are; nothing is read. A processor that reads
 * ahead by itself reads too little: with this one stream decodes a fifth faster (docs/lab/matrix-products.md). Part of who calls it, since GCC leaves out calls
 * that only do this.
 */
template <int parts, class Block>
ZSE_INLINE void fetch([[maybe_unused]] const Block& block, [[maybe_unused]] int part,
                      [[maybe_unused]] Ahead ahead = {kReadAhead, kLinesOf<parts, Block>}) {
#ifndef ZSE_LANES_NEON  // there it could not be measured
  constexpr int kAll = kLinesOf<parts, Block>;
  const char* from = reinterpret_cast<const char*>(&block) + part * kAll * kLine + ahead.bytes;
  if (ahead.lines == kAll) {  // usual where few rows pass: written out
    for (int line = 0; line < kAll; line++) _mm_prefetch(from + line * kLine, _MM_HINT_T1);
  } else {
    for (int line = 0; line < ahead.lines; line++) _mm_prefetch(from + line * kLine, _MM_HINT_T1);
  }
#endif
}

constexpr int kSigned = 0;  // `most` of weights that are signed bytes, of any size, where there is no VNNI

}  // namespace zse::kernels

#endif
