// Owns the products of K-quants and IQ4_XS for AVX-512 with VNNI, and with AMX's tiles where there are any (products_tiles.h). Pure; any thread.
// Everything is static: each variant of the backend has its own.
//
// Activations are rounded in super-blocks of 256 columns, as ggml rounds them for these types (its Q8_K), and a super-block's products are summed in
// whole numbers, the whole scales of its blocks included. Only then they are scaled. So VNNI and tiles give the same sums, and a row gives the same
// alone and with others, to the bit.
#pragma once

#include <type_traits>

#include "products_tiles.h"
#include "rounded_pieces.h"
#include "superblock_rounding.h"
#include "unpacked_superblocks.h"

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

  /**
   * How many columns of all weights so many rows pass over before the next ones: these rows, and weights that are unpacked, stay near then. 0 where few rows
   * pass over all columns at once.
   */
  static int64_t slice_columns(int rows) { return in_slices(rows) ? kMostUnpacked * QK_K : 0; }

  static constexpr int64_t kPieceColumns = QK_K;
  static void round_piece(const Piece& piece, int64_t, const char* from, size_t stride, char* to) {
    Together<1> rounded[kMostTogether];
    const Together<1>* rows[kMostTogether];
    to += piece.column / QK_K * piece.together * sizeof(Together<1>);
    for (int place = 0; place < piece.together; place++) {
      // Other threads have read what lay there before: it takes a while until a line is this one's.
      for (size_t i = 0; i < sizeof(Together<1>); i += 64) __builtin_prefetch(to + place * sizeof(Together<1>) + i, 1);
      rows[place] = place < piece.rows ? &rounded[place] : &kZeros;
      if (place < piece.rows)
        round_super_block<Kind>(reinterpret_cast<const float*>(from + place * stride) + piece.column, rounded[place]);
    }
    join(rows, piece.together, to);
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
    const int64_t blocks = columns / QK_K;
    const int of = passes(rows);
    if (rows == 1) {  // in one function: a call for each sixteen rows of weights took 2 % of a reply's time
      for (int column = 0; column < n_columns; column += kLanes, weights += blocks)
        multiply_together<1, false>(columns, out, weights, nullptr, rounded, column, {0, blocks}, {0, 1});
      return;
    }
    if (!in_slices(rows)) {
      for (int column = 0; column < n_columns; column += kLanes, weights += blocks)
        multiply_part(columns, out, weights, nullptr, rounded, rows, of, column, {0, blocks});
      return;
    }
    // Many pass over weights that are unpacked once, and of long rows over as many columns as stay in the nearest cache then.
    Unpacked<Kind> unpacked[kMostUnpacked];
    const int64_t slices = (blocks + kMostUnpacked - 1) / kMostUnpacked;
    for (int64_t i = 0; i < slices; i++) {
      const Slice slice{blocks * i / slices, blocks * (i + 1) / slices};
      const Block* group = weights;
      for (int column = 0; column < n_columns; column += kLanes, group += blocks) {
        for (int64_t b = slice.begin; b < slice.end; b++) unpacked[b - slice.begin].read(group[b]);
        multiply_part(columns, out, group, unpacked, rounded, rows, of, column, slice);
      }
    }
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
    // Each one's scale, its sums, and how large they may be.
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

  // Super-blocks of a row, from one to before another.
  struct Slice {
    int64_t begin, end;
  };

  // Fewer are over before unpacking pays, which is least for Q4_K.
  static constexpr int kUnpackedPasses = std::is_same_v<Kind, LanesQ4_K> ? 12 : 4;
  static constexpr int kMostUnpacked = 6;

  static bool in_slices(int rows) { return !by_tiles(rows) && rows >= kMany * kUnpackedPasses; }

  static int passes(int rows) {
    int count = 0;
    for (int first = 0; first < rows; first += together(rows, first)) count++;
    return count;
  }

  // Sixteen rows of weights, from `column` of the results on; `unpacked`, if any, for eight or twelve rows of activations at once.
  static void multiply_part(int64_t columns, float* const* out, const Block* weights, const Unpacked<Kind>* unpacked,
                            const char* rounded, int rows, int passes, int column, Slice slice) {
    Pass pass{0, passes};
    for (int first = 0, n; first < rows; first += n, pass.number++) {
      n = together(rows, first);
      const char* from = rounded + first * row_bytes(columns);
      float* const* to = out + first;
      const auto multiply = [&](auto number) {
        multiply_together<number(), false>(columns, to, weights, nullptr, from, column, slice, pass);
      };
      const auto multiply_again = [&](auto number) {
        if (!unpacked) return multiply(number);
        multiply_together<number(), true>(columns, to, weights, unpacked, from, column, slice, pass);
      };
      switch (n) {
        case 1: multiply(std::integral_constant<int, 1>()); break;
        case 2: multiply(std::integral_constant<int, 2>()); break;
        case 3: multiply(std::integral_constant<int, 3>()); break;
        case 4: multiply(std::integral_constant<int, 4>()); break;
        case 5: multiply(std::integral_constant<int, 5>()); break;
        case 6: multiply(std::integral_constant<int, 6>()); break;
        case 7: multiply(std::integral_constant<int, 7>()); break;
        case 8: multiply_again(std::integral_constant<int, 8>()); break;
        default: multiply_again(std::integral_constant<int, kMany>());
      }
    }
  }

  template <int n, bool is_unpacked>
  static void multiply_together(int64_t columns, float* const* out, const Block* weights, const Unpacked<Kind>* unpacked,
                                const char* rounded, int column, Slice slice, Pass pass) {
    const int64_t blocks = columns / Kind::kColumns;
    const auto* activations = reinterpret_cast<const Together<n>*>(rounded);
    alignas(64) float sums[n][kLanes];  // in memory: registers hold whole numbers
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) store(sums[row], slice.begin == 0 ? zero() : _mm512_loadu_ps(out[row] + column));
    // The lines of the results are asked for before they are written; those of many rows a few with each of the first super-blocks, since what is to be read
    // would wait behind all of them.
    constexpr int kAtOnce = n < kMany ? n : n / 3;
    int asked = 0;
    const auto ask = [&]() ZSE_INLINE_LAMBDA {
#pragma GCC unroll 8
      for (int i = 0; i < kAtOnce; i++) __builtin_prefetch(out[asked + i] + column, 1);
      asked += kAtOnce;
    };
    if constexpr (kAtOnce == n) ask();
    constexpr bool narrow = Pairs<Kind>::kNarrow && n == kMany;  // of fewer rows what it saves was not measured alone
    const size_t ahead = pass.of == 1 ? kReadAhead : blocks * sizeof(Block);
    int until = pass.number;
    for (int64_t b = slice.begin; b < slice.end; b++) {
      const size_t wanted = until == 0 ? ahead : 0;
      if (kAtOnce < n && asked < n) ask();
      if constexpr (!Pairs<Kind>::kAny && is_unpacked)
        add_parts<n>(sums, weights[b], unpacked[b - slice.begin], activations[b], wanted);
      else if constexpr (!Pairs<Kind>::kAny)
        add_parts<n>(sums, weights[b], activations[b], wanted);
      else if (any_over<n>(activations[b], narrow ? kOver15 | kOver16 : kOver16))
        add_larger<n>(sums, weights[b], activations[b], wanted);
      else if constexpr (is_unpacked)
        add_pairs<n, narrow>(sums, weights[b], unpacked[b - slice.begin], activations[b], wanted);
      else
        add_pairs<n, narrow>(sums, weights[b], activations[b], wanted);
      until = (until == 0 ? pass.of : until) - 1;
    }
#pragma GCC unroll 8
    for (int row = 0; row < n; row++) store(out[row] + column, _mm512_load_ps(sums[row]));
  }

  // Memory brings as many weights from so many bytes `ahead` on, if any. What sums are scaled with is found after them: registers do not hold both.
  template <int n, bool narrow>
  ZSE_INLINE void add_pairs(float (*sums)[kLanes], const Block& block, const Together<n>& a, size_t ahead) {
    const Scales by(block);
    Ints whole[n];
    sum_pairs<Kind, n, narrow>(whole, PackedPairs<Kind>{block, by}, a, block, ahead);
    scale<n>(sums, whole, Factors<Kind>(by), a);
  }

  template <int n, bool narrow>
  ZSE_INLINE void add_pairs(float (*sums)[kLanes], const Block& block, const Unpacked<Kind>& unpacked, const Together<n>& a,
                            size_t ahead) {
    Ints whole[n];
    sum_pairs<Kind, n, narrow>(whole, unpacked, a, block, ahead);
    scale<n>(sums, whole, unpacked.factors, a);
  }

  // Rare, so it must not lengthen the code of pairs, which is as long as caches of instructions allow.
  template <int n>
  [[gnu::noinline]] static void add_larger(float (*sums)[kLanes], const Block& block, const Together<n>& a, size_t ahead) {
    if constexpr (Pairs<Kind>::kNarrow) {
      if (!any_over<n>(a, kOver16)) return add_pairs<n, false>(sums, block, a, ahead);
    }
    add_parts<n>(sums, block, a, ahead);
  }

  template <int n>
  ZSE_INLINE void add_parts(float (*sums)[kLanes], const Block& block, const Together<n>& a, size_t ahead) {
    const Scales by(block);
    Ints whole[n];
    sum_parts<n>(whole, [&](int j, int i) ZSE_INLINE_LAMBDA { return Kind::columns(block, j, i); }, by, a, block, ahead);
    scale<n>(sums, whole, Factors<Kind>(by), a);
  }

  template <int n>
  ZSE_INLINE void add_parts(float (*sums)[kLanes], const Block& block, const Unpacked<Kind>& unpacked, const Together<n>& a,
                            size_t ahead) {
    Ints whole[n];
    sum_parts<n>(whole, [&](int j, int i) ZSE_INLINE_LAMBDA { return unpacked.columns(j, i); }, unpacked, a, block, ahead);
    scale<n>(sums, whole, unpacked.factors, a);
  }

  template <int n, class Columns, class By>
  ZSE_INLINE void sum_parts(Ints* whole, Columns columns, const By& by, const Together<n>& a, const Block& block,
                            size_t ahead) {
    constexpr int kGroups = 8 / Scales::kParts;
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
          const Ints w = columns(j, group);
#pragma GCC unroll 16
          for (int row = 0; row < n; row++) sums_of[row] = add_products(sums_of[row], w, a.at(32 * j + 4 * group, row));
        }
        const Ints scale = by.of(j, part);
#pragma GCC unroll 16
        for (int row = 0; row < n; row++) whole[row] = _mm512_add_epi32(whole[row], _mm512_mullo_epi32(sums_of[row], scale));
      }
    });
  }

  template <int n>
  ZSE_INLINE void scale(float (*sums)[kLanes], const Ints* whole, const Factors<Kind>& factors, const Together<n>& a) {
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) store(sums[row], factors.add(_mm512_load_ps(sums[row]), whole[row], a, row));
  }
};

}  // namespace zse::kernels

#endif
