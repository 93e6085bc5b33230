// Owns the products of K-quants and IQ4_XS for AVX2, AVX-VNNI and AVX-512 with VNNI, and with AMX's tiles where there are any (products_tiles.h). Pure; any
// thread. Everything is static: each variant of the backend has its own.
//
// Activations are rounded in super-blocks of 256 columns, as ggml rounds them for these types (its Q8_K), and a super-block's products are summed in
// whole numbers, the whole scales of its blocks included. Only then they are scaled. So VNNI and tiles give the same sums, and a row gives the same
// alone and with others, to the bit. All levels round and sum alike.
#pragma once

#include <type_traits>

#include "products_tiles.h"
#include "rounded_pieces.h"
#include "superblock_parts.h"
#include "superblock_rounding.h"
#include "superblock_rows.h"

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
   * registers, of a block and of all blocks. With fewer than ten each sum waits for itself, and less is made of the instruction: so the last ones are shared out evenly.
   * With AVX2 alone sums are in memory, and more rows share what unpacking takes. AVX-VNNI gains nothing by it.
   */
  static int together(int rows, int first) {
    if (by_tiles(rows)) return kMostTogether;
    const int left = rows - first;
    if (!in_slices(rows)) {
      if (left >= kEven) return kMany;
      if (const int n = more_together(left)) return n;
    }
    if (left >= 4 * kTwelve) return kTwelve;
    const int passes = (left + kTwelve - 1) / kTwelve, shared_out = (left + passes - 1) / passes;
    return std::min(left, (shared_out + kAtOnce - 1) / kAtOnce * kAtOnce);
  }

  /**
   * How many columns of all weights so many rows pass over before the next ones: these rows, and weights that are unpacked, stay near then. 0 where few rows
   * pass over all columns at once.
   */
  static int64_t slice_columns(int rows) { return in_slices(rows) ? unpacked_at_once(rows) * QK_K : 0; }

  static constexpr int64_t kPieceColumns = QK_K;
  static void round_piece(const Piece& piece, int64_t, const char* from, size_t stride, char* to) {
    Together<1> rounded[kMostPlaces];
    const Together<1>* rows[kMostPlaces];
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
        const Together<1>* blocks[kMostPlaces];
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
    if (in_slices(rows)) return multiply_in_slices(columns, out, weights, rounded, rows, n_columns);
#if ZSE_LANES == 8
    multiply_all<Packed<Kind, kFits16<Kind>>>(columns, out, weights, rounded, rows, n_columns);
#else
    if constexpr (kFits16<Kind>) {
      if (in_pairs<Kind>()) return multiply_all<PackedPairs<Kind>>(columns, out, weights, rounded, rows, n_columns);
    }
    if constexpr (!Scales::kMinima)
      multiply_all<Packed<Kind, kFits16<Kind>>>(columns, out, weights, rounded, rows, n_columns);
#endif
  }

 private:
  static constexpr int kFew = 9, kTwelve = 12;
  // Not of IQ4_XS, which gains least, for a package's size.
#if ZSE_LANES == 8 && !defined(ZSE_LANES_VNNI)
  static constexpr bool kMoreTogether = !std::is_same_v<Kind, LanesIq4Xs>;
#else
  static constexpr bool kMoreTogether = false;
#endif
  static constexpr int kMany = kMoreTogether ? 24 : kTwelve;
  static constexpr int kEven = 4 * kMany;
  static constexpr int kMostPlaces = std::max(kMany, kMostTogether);
  static constexpr int kAtOnce = ZSE_LANES == 8 ? 4 : 1;  // rows whose sums are under way at once, where not all are

  // Twenty-four or sixteen of so many, where they are all or leave more than a few; 0: none of these.
  static int more_together(int left) {
    if (!kMoreTogether) return 0;
    for (const int n : {24, 16}) {
      const int rest = left - n;
      if (rest == 0 || (rest > kAtOnce && (rest <= kTwelve || rest % kAtOnce == 0))) return n;
    }
    return left > 2 * kMany ? kMany : 0;
  }

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
    to = columns_together(n) == kStep ? join_values<kStep>(rows, n, to) : join_values<columns_together(1)>(rows, n, to);
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

  // Which of all passes of activations over the same weights. The only pass has memory bring what comes soon. Of several each has it bring a few lines of the next
  // weights for each part of these: what is asked for at once has what is read wait.
  struct Pass {
    int number, of;

    static Pass first_of(int rows) {
      int of = 0;
      for (int first = 0; first < rows; first += together(rows, first)) of++;
      return {0, of};
    }

    Ahead ahead(int64_t blocks) const {
      constexpr int kLines = kLinesOf<8, Block>;
      const int first = kLines * number / of, end = kLines * (number + 1) / of;
      return {(of == 1 ? kReadAhead : blocks * sizeof(Block)) + first * kLine, end - first};
    }
  };

  // Super-blocks of a row, from one to before another.
  struct Slice {
    int64_t begin, end;
  };

  // Fewer are over before unpacking pays. It never does where it runs beside multiplications; with eight lanes that was measured on Intel's alone.
  static constexpr int kUnpackedPasses = kAtOnce == 1 ? 4 : 8;
  static constexpr int kMostUnpacked = 6;
  static constexpr int kFewestInSlices = kAtOnce == 1 ? 9 : 5;  // rows that lie together where so many are (together())

  // Fewer of them stay near while a few rows pass; with many what counts is how often sums go to memory and back.
  static int unpacked_at_once(int rows) { return rows < 2 * kTwelve * kUnpackedPasses ? 4 : kMostUnpacked; }

  static bool in_slices(int rows) { return !by_tiles(rows) && rows >= kTwelve * kUnpackedPasses && instructions_compete(); }

  // All rows pass over a few weights, which each pass reads as they are stored, before the next are read.
  template <class Read>
  static void multiply_all(int64_t columns, float* const* out, const Block* weights, const char* rounded, int rows,
                           int n_columns) {
    const int64_t blocks = columns / QK_K;
    const Slice all{0, blocks};
    if (rows == 1) {  // in one function: a call for each sixteen rows of weights took 2 % of a reply's time
      for (int column = 0; column < n_columns; column += kLanes, weights += blocks)
        multiply_together<1>(columns, out, weights, as_stored<Read>(weights), rounded, column, all, {0, 1});
      return;
    }
    const Pass first = Pass::first_of(rows);
    for (int column = 0; column < n_columns; column += kLanes, weights += blocks)
      multiply_part<2, kMany>(columns, out, weights, as_stored<Read>(weights), rounded, rows, first, column, all);
  }

  // Many pass over weights that are unpacked once, and of long rows over as many columns as stay in the nearest cache then.
  static void multiply_in_slices(int64_t columns, float* const* out, const Block* weights, const char* rounded, int rows,
                                 int n_columns) {
    const int64_t blocks = columns / QK_K;
    const Pass first = Pass::first_of(rows);
    Unpacked<Kind> unpacked[kMostUnpacked];
    const int most = unpacked_at_once(rows);
    const int64_t slices = (blocks + most - 1) / most;
    for (int64_t i = 0; i < slices; i++) {
      const Slice slice{blocks * i / slices, blocks * (i + 1) / slices};
      const auto read = [&](int64_t b) ZSE_INLINE_LAMBDA -> const Unpacked<Kind>& { return unpacked[b - slice.begin]; };
      const Block* group = weights;
      for (int column = 0; column < n_columns; column += kLanes, group += blocks) {
        for (int64_t b = slice.begin; b < slice.end; b++) unpacked[b - slice.begin].read(group[b]);
        multiply_part<kFewestInSlices, kTwelve>(columns, out, group, read, rounded, rows, first, column, slice);
      }
    }
  }

  template <class Read>
  static auto as_stored(const Block* weights) {
    return [=](int64_t b) ZSE_INLINE_LAMBDA { return Read(weights[b]); };
  }

  // Sixteen rows of `weights`, from `column` of the results on; `read` has their super-blocks as they are multiplied. `least` to `most` rows lie together: code
  // for others would never run.
  template <int least, int most, class Read>
  static void multiply_part(int64_t columns, float* const* out, const Block* weights, const Read& read, const char* rounded,
                            int rows, Pass pass, int column, Slice slice) {
    for (int first = 0, n; first < rows; first += n, pass.number++) {
      n = together(rows, first);
      const char* from = rounded + first * row_bytes(columns);
      const auto multiply = [&](auto number) {
        if constexpr (number() >= least && number() <= most)
          multiply_together<number()>(columns, out + first, weights, read, from, column, slice, pass);
        else
          GGML_ABORT("%d rows lie together, %d to %d were expected", number(), least, most);
      };
      switch (n) {
        case 2: multiply(std::integral_constant<int, 2>()); break;
        case 3: multiply(std::integral_constant<int, 3>()); break;
        case 4: multiply(std::integral_constant<int, 4>()); break;
        case 5: multiply(std::integral_constant<int, 5>()); break;
        case 6: multiply(std::integral_constant<int, 6>()); break;
        case 7: multiply(std::integral_constant<int, 7>()); break;
        case 8: multiply(std::integral_constant<int, 8>()); break;
        case 9: multiply(std::integral_constant<int, 9>()); break;
        case 10: multiply(std::integral_constant<int, 10>()); break;
        case 11: multiply(std::integral_constant<int, 11>()); break;
        case 16: multiply(std::integral_constant<int, 16>()); break;
        case 24: multiply(std::integral_constant<int, 24>()); break;
        default: multiply(std::integral_constant<int, kTwelve>());
      }
    }
  }

  template <int n, class Read>
  static void multiply_together(int64_t columns, float* const* out, const Block* weights, const Read& read,
                                const char* rounded, int column, Slice slice, Pass pass) {
    const int64_t blocks = columns / Kind::kColumns;
    const auto* activations = reinterpret_cast<const Together<n>*>(rounded);
    alignas(64) float sums[n][kLanes];  // in memory: registers hold whole numbers
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) store(sums[row], slice.begin == 0 ? zero() : load_floats(out[row] + column));
    // The lines of the results are asked for before they are written; those of many rows a few with each of the first super-blocks, since what is to be read
    // would wait behind all of them.
    constexpr int kAsked = n <= 8 ? n : (n + 2) / 3;
    int asked = 0;
    const auto ask = [&]() ZSE_INLINE_LAMBDA {
#pragma GCC unroll 8
      for (int i = 0; i < kAsked; i++) __builtin_prefetch(out[std::min(asked + i, n - 1)] + column, 1);
      asked += kAsked;
    };
    if constexpr (kAsked == n) ask();
    const Ahead ahead = pass.ahead(blocks);
    for (int64_t b = slice.begin; b < slice.end; b++) {
      if (kAsked < n && asked < n) ask();
#if ZSE_LANES == 16
      if (kFits16<Kind> && any_over(activations[b]))
        add_larger<n>(sums, weights[b], activations[b], ahead);
      else
#endif
        add<n>(sums, read(b), activations[b], weights[b], ahead);
    }
#pragma GCC unroll 8
    for (int row = 0; row < n; row++) store(out[row] + column, load_floats(sums[row]));
  }

#if ZSE_LANES == 16
  // Rare, so it must not lengthen the usual code, which is as long as caches of instructions allow.
  template <int n>
  [[gnu::noinline]] static void add_larger(float (*sums)[kLanes], const Block& block, const Together<n>& a, Ahead ahead) {
    add<n>(sums, Packed<Kind, false>(block), a, block, ahead);
  }
#endif

  // Memory brings what is `ahead`. What sums are scaled with is found after them: registers do not hold both.
  template <int n, class Weights>
  ZSE_INLINE void add(float (*sums)[kLanes], const Weights& of, const Together<n>& a, const Block& block, Ahead ahead) {
    Ints whole[n];
#if ZSE_LANES == 8
    RowSums<Kind>::template sum<n>(whole, of, a, block, ahead);
#else
    if constexpr (kFits16<Kind> && std::is_same_v<Weights, PackedPairs<Kind>>)
      sum_pairs<Kind, n>(whole, of, a, ahead);
    else
      sum_parts<n>(whole, of, a, block, ahead);
#endif
    const auto& factors = of.factors();
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) store(sums[row], factors.add(load_floats(sums[row]), whole[row], a, row));
  }

#if ZSE_LANES == 16

  // Where the parts' sums fit 16 bits, the lower halves of the registers are multiplied with their scale and added by one instruction.
  template <int n, class Weights>
  ZSE_INLINE void sum_parts(Ints* whole, const Weights& of, const Together<n>& a, const Block& block, Ahead ahead) {
    constexpr int kGroups = 8 / Scales::kParts;
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) whole[row] = words(0);
    for_blocks<(n <= Weights::kWrittenOut)>([&](int j) ZSE_INLINE_LAMBDA {
      fetch<8>(block, j, ahead);
      const int8_t (*values)[n][16] = a.values + 2 * j;
#pragma GCC unroll 2
      for (int k = 0; k < Scales::kParts; k++) {
        const int part = Scales::kParts * j + k;
        Ints sums[n];
#pragma GCC unroll 16
        for (int row = 0; row < n; row++)
          sums[row] = words(Scales::kMinima ? 0 : Weights::kFit ? a.sums[part][row] : begin_of(a, part, row));
#pragma GCC unroll 8
        for (int i = 0; i < kGroups; i++) {
          const Ints w = of.columns(part, i);
#pragma GCC unroll 16
          for (int row = 0; row < n; row++)
            sums[row] = add_products(sums[row], w, values[(kGroups * k + i) / 4][row] + i % 4 * 4);
        }
        const Ints scale = of.scale(part);
#pragma GCC unroll 16
        for (int row = 0; row < n; row++)
          whole[row] = Weights::kFit ? add_halves(whole[row], sums[row], scale)
                                     : _mm512_add_epi32(whole[row], _mm512_mullo_epi32(sums[row], scale));
      }
    });
  }
#endif
};

}  // namespace zse::kernels

#endif
