// Owns the types whose interleaved weights are multiplied as bytes: of each its usual block, the block of all rows, and how that is filled and multiplied.
// Pure; any thread. Everything is static: each variant of the backend has its own.
//
// A weight is kept unsigned, as the instruction wants it; what a type subtracts from each weight (8 in Q4_0, 32 in Q6_K, 128 in Q8_0 as it is
// stored here) is where the sum begins: that many times the sum of the activations, which all rows of weights share. A register holds four
// columns of sixteen rows (of eight with AVX2), so that sums of whole rows come out in order, and four activations are broadcast by the multiplication itself.
// ARM multiplies signed bytes, and has Q8_0 and IQ4 as they are; lanes_neon.h says what a register holds there.
#pragma once

#include "fifth_bits.h"
#include "scaled_sums.h"

#ifdef ZSE_LANES

#include <algorithm>
#include <cstddef>

#include "simd-mappings.h"

namespace zse::kernels {

// Up to how many rows of activations the shifts of K-quants are known when this is compiled: that is quicker, and counts where few rows share them;
// with many rows the longer code costs more. Those of super-blocks: paired_sums.h, superblock_parts.h.
constexpr int kRowsOfKnownShifts = 1;

/** `add(j)` for the `count` parts of a K-quant's 256 columns, blocks of 32 say; where `known`, its code is written out for each. */
template <bool known, int count = 8, class Add>
ZSE_INLINE void for_blocks(Add add) {
  if constexpr (known) {
#pragma GCC unroll 8
    for (int j = 0; j < count; j++) add(j);
  } else {
    for (int j = 0; j < count; j++) add(j);
  }
}

/** The same for all blocks of 32 columns, where the code of `period` of them is written out. */
template <int period, class Add>
ZSE_INLINE void for_periods(Add add) {
  for (int first = 0; first < 8; first += period) {
#pragma GCC unroll 8
    for (int i = 0; i < period; i++) add(first + i);
  }
}

enum class Sums { whole, halves, parts };  // of a block of activations: what Together::sums has

// A block's scale and minimum, in a union that has no name in every language.
template <class Stored>
static void put_halves(const Stored& from, ggml_half& scale, ggml_half& minimum) {
  memcpy(&scale, &from, sizeof(ggml_half));
  memcpy(&minimum, reinterpret_cast<const char*>(&from) + sizeof(ggml_half), sizeof(ggml_half));
}

/** How a block is multiplied of a type that has one scale for its 32 columns, and a minimum where it has minima. */
template <class Kind>
struct OneScale {
  static constexpr bool kBegun = true;  // sums begin at kBegunBits; not on ARM

  template <int n, class Block>
  ZSE_INLINE void add(Floats* sums, const Block& block, const Together<n>* a) {
    Ints w[8];
    Kind::weights(w, block);
#ifndef ZSE_LANES_NEON
    if constexpr (Kind::kBegun && Kind::kMinima)
      add_begun<n, Kind::kMost>(sums, w, Kind::scales(block), Kind::minima(block), *a);
    else if constexpr (Kind::kBegun)
      add_begun<n, Kind::kMost>(sums, w, Kind::scales(block), *a);
    else
#endif
        if constexpr (Kind::kMinima)
      add_block<n, Kind::kMost>(sums, w, Kind::scales(block), Kind::minima(block), *a);
    else
      add_block<n, Kind::kMost>(sums, w, Kind::scales(block), *a);
  }
};

struct LanesQ4_1 : OneScale<LanesQ4_1> {
  using Stored = block_q4_1;
  struct Block {
    ggml_half d[kLanes];
    ggml_half m[kLanes];
    uint8_t qs[kLanes * QK4_1 / 2];
  };
  static constexpr int kColumns = QK4_1;
  static constexpr Sums kSums = Sums::parts;
  static constexpr int kOffset = 0, kMost = 15;
  static constexpr bool kMinima = true;
  static constexpr bool kHalfScale = true;

  static void interleave(const Stored& from, int row, Block& to) {
    put_halves(from, to.d[row], to.m[row]);
    put_columns(to.qs, row, from.qs, 4);
  }

  ZSE_INLINE void weights(Ints* w, const Block& block) {
    for (int i = 0; i < 4; i++) {
      w[i] = nibbles(word(block.qs, i), 0);
      w[i + 4] = nibbles(word(block.qs, i), 1);
    }
  }
  static Floats scales(const Block& block) { return from_halves(block.d); }
  static Floats minima(const Block& block) { return from_halves(block.m); }
};

struct LanesQ5_0 : OneScale<LanesQ5_0> {
  using Stored = block_q5_0;
  struct Block {
    ggml_half d[kLanes];
    uint8_t qh[kLanes * 4];
    uint8_t qs[kLanes * QK5_0 / 2];
  };
  static constexpr int kColumns = QK5_0;
  static constexpr Sums kSums = Sums::whole;
  static constexpr int kOffset = 16, kMost = 31;
  static constexpr bool kMinima = false;
  static constexpr bool kHalfScale = true;

  static void interleave(const Stored& from, int row, Block& to) {
    to.d[row] = from.d;
    put_words(to.qh, row, from.qh, 1);
    put_columns(to.qs, row, from.qs, 4);
  }

  ZSE_INLINE void weights(Ints* w, const Block& block) { five_bits(w, block.qs, block.qh); }
  static Floats scales(const Block& block) { return from_halves(block.d); }
};

struct LanesQ5_1 : OneScale<LanesQ5_1> {
  using Stored = block_q5_1;
  struct Block {
    ggml_half d[kLanes];
    ggml_half m[kLanes];
    uint8_t qh[kLanes * 4];
    uint8_t qs[kLanes * QK5_1 / 2];
  };
  static constexpr int kColumns = QK5_1;
  static constexpr Sums kSums = Sums::parts;
  static constexpr int kOffset = 0, kMost = 31;
  static constexpr bool kMinima = true;
  static constexpr bool kHalfScale = true;

  static void interleave(const Stored& from, int row, Block& to) {
    put_halves(from, to.d[row], to.m[row]);
    put_words(to.qh, row, from.qh, 1);
    put_columns(to.qs, row, from.qs, 4);
  }

  ZSE_INLINE void weights(Ints* w, const Block& block) { five_bits(w, block.qs, block.qh); }
  static Floats scales(const Block& block) { return from_halves(block.d); }
  static Floats minima(const Block& block) { return from_halves(block.m); }
};

struct LanesQ8_0 : OneScale<LanesQ8_0> {
  using Stored = block_q8_0;
  struct Block {
    ggml_half d[kLanes];
    uint8_t qs[kLanes * QK8_0];
  };
  static constexpr int kColumns = QK8_0;
  static constexpr Sums kSums = Sums::whole;
#ifndef ZSE_LANES_VNNI
  static constexpr int kOffset = 0, kMost = kSigned;
#else
  static constexpr int kOffset = 128, kMost = 255;
#endif
  static constexpr bool kMinima = false;
  static constexpr bool kHalfScale = true;

  static void interleave(const Stored& from, int row, Block& to) {
    to.d[row] = from.d;
    uint8_t unsigned_or_not[QK8_0];
    for (int i = 0; i < QK8_0; i++) unsigned_or_not[i] = static_cast<uint8_t>(from.qs[i] + kOffset);
    put_columns(to.qs, row, unsigned_or_not, 8);
  }

  ZSE_INLINE void weights(Ints* w, const Block& block) {
    for (int i = 0; i < 8; i++) w[i] = word(block.qs, i);
  }
  static Floats scales(const Block& block) { return from_halves(block.d); }
};

// Scales and minima of eight blocks of 32, six bits each, as Q4_K and Q5_K have them, times those of the whole 256.
struct SixBits {
  ZSE_INLINE_MEMBER SixBits(const void* stored, const ggml_half* d, const ggml_half* dmin)
      : scale_(from_halves(d)), minimum_(multiply(from_halves(dmin), floats(-1))) {
    const Ints six = bytes(63), four = bytes(15), two = bytes(0x30);
    const Ints a = word(stored, 0), b = word(stored, 1), c = word(stored, 2);
    bits_[0] = both(a, six);
    bits_[1] = either(both(c, four), both(right(a, 2), two));
    bits_[2] = both(b, six);
    bits_[3] = either(both(right(c, 4), four), both(right(b, 2), two));
  }
  Floats scale(int i) const { return number(scale_, i / 4, i); }
  Floats minimum(int i) const { return number(minimum_, 2 + i / 4, i); }
  Ints whole_scale(int i) const { return whole(i / 4, i); }
#ifndef ZSE_LANES_NEON
  /** Those of blocks 2 * i and 2 * i + 1, in 16 bits each. */
  Ints two_scales(int i) const { return two_bytes(bits_[i / 2], i % 2); }
  Ints two_minima(int i) const { return two_bytes(bits_[2 + i / 2], i % 2); }
#endif

 private:
  Ints whole(int where, int i) const { return both(right(bits_[where], i % 4 * 8), words(63)); }
  Floats number(Floats of_256, int where, int i) const { return multiply(of_256, to_floats(whole(where, i))); }
  Floats scale_, minimum_;
  Ints bits_[4];  // of scales, then of minima
};

// Of a row of Q4_K or Q5_K, what SixBits reads.
template <class Stored, class Block>
static void interleave_six_bits(const Stored& from, int row, Block& to) {
  put_halves(from, to.d[row], to.dmin[row]);
  put_words(to.scales, row, from.scales, K_SCALE_SIZE / 4);
}

// A block of 32 columns: the `j`th of a super-block.
template <class Kind>
ZSE_INLINE void block_columns(Ints* w, const typename Kind::Block& block, int j) {
  for (int i = 0; i < 8; i++) w[i] = Kind::columns(block, j, i);
}

template <class Kind, int n, int most>
ZSE_INLINE void add_super_block(Floats* sums, const typename Kind::Block& block, const Together<n>* a) {
  const SixBits six(block.scales, block.d, block.dmin);
  for_blocks<(n <= kRowsOfKnownShifts)>([&](int j) ZSE_INLINE_LAMBDA {
    Ints w[8];
    block_columns<Kind>(w, block, j);
    add_block<n, most>(sums, w, six.scale(j), six.minimum(j), a[j]);
  });
}

struct LanesQ4_K {
  using Stored = block_q4_K;
  struct Block {
    ggml_half d[kLanes];
    ggml_half dmin[kLanes];
    uint8_t scales[kLanes * K_SCALE_SIZE];
    uint8_t qs[kLanes * QK_K / 2];
  };
  static constexpr int kColumns = QK_K;
  static constexpr Sums kSums = Sums::parts;
  static constexpr int kOffset = 0, kMost = 15;
  static constexpr bool kHalfScale = false;
  static constexpr int kPeriod = 2;  // after so many blocks of 32 columns shifts are the same again

  static void interleave(const Stored& from, int row, Block& to) {
    interleave_six_bits(from, row, to);
    put_columns(to.qs, row, from.qs, QK_K / 8);
  }

  ZSE_INLINE Ints columns(const Block& block, int j, int i) { return nibbles(word(block.qs, j / 2 * 8 + i), j % 2); }

  template <int n>
  ZSE_INLINE void add(Floats* sums, const Block& block, const Together<n>* a) {
    add_super_block<LanesQ4_K, n, kMost>(sums, block, a);
  }
};

struct LanesQ5_K {
  using Stored = block_q5_K;
  struct Block {
    ggml_half d[kLanes];
    ggml_half dmin[kLanes];
    uint8_t scales[kLanes * K_SCALE_SIZE];
    uint8_t qh[kLanes * QK_K / 8];
    uint8_t qs[kLanes * QK_K / 2];
  };
  static constexpr int kColumns = QK_K;
  static constexpr Sums kSums = Sums::parts;
  static constexpr int kOffset = 0, kMost = 31;
  static constexpr bool kHalfScale = false;
  static constexpr int kPeriod = 8;

  static void interleave(const Stored& from, int row, Block& to) {
    interleave_six_bits(from, row, to);
    put_columns(to.qh, row, from.qh, QK_K / 32);
    put_columns(to.qs, row, from.qs, QK_K / 8);
  }

  ZSE_INLINE Ints columns(const Block& block, int j, int i) {
    return joined<1>(word(block.qs, j / 2 * 8 + i), j % 2, word(block.qh, i), j);
  }

  template <int n>
  ZSE_INLINE void add(Floats* sums, const Block& block, const Together<n>* a) {
    add_super_block<LanesQ5_K, n, kMost>(sums, block, a);
  }
};

struct LanesQ6_K {
  using Stored = block_q6_K;
  struct Block {
    ggml_half d[kLanes];
    uint8_t scales[kLanes * QK_K / 16];
    uint8_t qh[kLanes * QK_K / 4];
    uint8_t ql[kLanes * QK_K / 2];
  };
  static constexpr int kColumns = QK_K;
  static constexpr Sums kSums = Sums::halves;
  static constexpr int kOffset = 32, kMost = 63;
  static constexpr bool kHalfScale = false;
  static constexpr int kPeriod = 8;  // with 4 GCC 12 does not know them: a fifth slower

  static void interleave(const Stored& from, int row, Block& to) {
    to.d[row] = from.d;
    put_words(to.scales, row, from.scales, QK_K / 64);
    put_columns(to.qh, row, from.qh, QK_K / 16);
    put_columns(to.ql, row, from.ql, QK_K / 8);
  }

  static Ints whole_scale(const Block& block, int i) {
    return right_signed(left(word(block.scales, i / 4), 24 - i % 4 * 8), 24);
  }
  static Floats scale(const Block& block, Floats d, int i) { return multiply(d, to_floats(whole_scale(block, i))); }

  // The j % 4th quarter of a half.
  ZSE_INLINE Ints columns(const Block& block, int j, int i) {
    const int low = j / 4 * 16 + j % 2 * 8, high = j / 4 * 8;
    return joined<2>(word(block.ql, low + i), j % 4 / 2, word(block.qh, high + i), j % 4 * 2);
  }

  template <int n>
  ZSE_INLINE void add(Floats* sums, const Block& block, const Together<n>* a) {
    const Floats d = from_halves(block.d);
    for_blocks<(n <= kRowsOfKnownShifts)>([&](int j) ZSE_INLINE_LAMBDA {
      Ints w[8];
      block_columns<LanesQ6_K>(w, block, j);
      const Floats scales[2] = {scale(block, d, 2 * j), scale(block, d, 2 * j + 1)};
      add_half_blocks<n, kMost>(sums, w, scales, a[j]);
    });
  }
};

// A nibble of IQ4_NL and IQ4_XS is a place in a table of weights, ggml's kvalues_iq4nl. With VNNI 128 is added to each of them. Without, they stay
// signed: two products of such large unsigned weights would not fit into 16 bits.
#ifdef ZSE_LANES_VNNI
constexpr int kIq4Offset = 128, kIq4Most = 241;
alignas(16) constexpr uint8_t kIq4Weights[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
#else
constexpr int kIq4Offset = 0, kIq4Most = kSigned;
alignas(16) constexpr int8_t kIq4Weights[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
#endif

// A nibble of MXFP4 is a place in ggml's kvalues_mxfp4. With 12 added to each weight they are unsigned, and small enough for AVX2's sums, too.
alignas(16) constexpr uint8_t kMxfp4Weights[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// Types with one scale and sixteen bytes of nibbles for 32 columns. What a nibble is: itself, or a place in a table.
struct Q4_0Nibbles {
  using Stored = block_q4_0;
  using Scale = ggml_half;
  static constexpr int kOffset = 8, kMost = 15;
  static Scale scale(const Stored& from) { return from.d; }
  static Floats scales(const Scale* of) { return from_halves(of); }
  static Ints weights(Ints nibbles) { return nibbles; }
};

struct Iq4NlNibbles {
  using Stored = block_iq4_nl;
  using Scale = ggml_half;
  static constexpr int kOffset = kIq4Offset, kMost = kIq4Most;
  static Scale scale(const Stored& from) { return from.d; }
  static Floats scales(const Scale* of) { return from_halves(of); }
  static Ints weights(Ints nibbles) { return looked_up(kIq4Weights, nibbles); }
};

struct Mxfp4Nibbles {
  using Stored = block_mxfp4;
  using Scale = uint8_t;  // a power of two
  static constexpr int kOffset = 12, kMost = 24;
  static Scale scale(const Stored& from) { return from.e; }
  static Floats scales(const Scale* of) { return from_exponents(of); }
  static Ints weights(Ints nibbles) { return looked_up(kMxfp4Weights, nibbles); }
};

// Four columns of a block of 32 from its four words, the `first` of them and those after it.
template <class Of>
ZSE_INLINE Ints look_up(const void* words_of_rows, int first, int i) {
  return Of::weights(nibbles(word(words_of_rows, first + i % 4), i / 4));
}

template <class Of>
struct LanesNibbles : OneScale<LanesNibbles<Of>> {
  using Stored = typename Of::Stored;
  struct Block {
    typename Of::Scale d[kLanes];
    uint8_t qs[kLanes * kBlock / 2];
  };
  static constexpr int kColumns = kBlock;
  static constexpr Sums kSums = Sums::whole;
  static constexpr int kOffset = Of::kOffset, kMost = Of::kMost;
  static constexpr bool kMinima = false;
  static constexpr bool kHalfScale = true;
  // Not of powers of two, the largest of which would be none times 2^23.
  static constexpr bool kBegun = sizeof(typename Of::Scale) == sizeof(ggml_half);

  static void interleave(const Stored& from, int row, Block& to) {
    to.d[row] = Of::scale(from);
    put_columns(to.qs, row, from.qs, 4);
  }

  ZSE_INLINE void weights(Ints* w, const Block& block) {
    for (int i = 0; i < 8; i++) w[i] = look_up<Of>(block.qs, 0, i);
  }
  static Floats scales(const Block& block) { return Of::scales(block.d); }
};

using LanesQ4_0 = LanesNibbles<Q4_0Nibbles>;
using LanesIq4Nl = LanesNibbles<Iq4NlNibbles>;
using LanesMxfp4 = LanesNibbles<Mxfp4Nibbles>;

struct LanesIq4Xs {
  using Stored = block_iq4_xs;
  struct Block {
    ggml_half d[kLanes];
    uint16_t scales_high[kLanes];
    uint8_t scales_low[kLanes * QK_K / 64];
    uint8_t qs[kLanes * QK_K / 2];
  };
  static constexpr int kColumns = QK_K;
  static constexpr Sums kSums = Sums::whole;
  static constexpr int kOffset = kIq4Offset, kMost = kIq4Most;
  static constexpr bool kHalfScale = false;
  static constexpr int kPeriod = 1;

  static void interleave(const Stored& from, int row, Block& to) {
    to.d[row] = from.d;
    to.scales_high[row] = from.scales_h;
    put_words(to.scales_low, row, from.scales_l, QK_K / 256);
    put_columns(to.qs, row, from.qs, QK_K / 8);
  }

  // 32 too large.
  static Ints whole_scale(const Block& block, int j) {
    const Ints low = word(block.scales_low, 0), high = from_shorts(block.scales_high);
    return either(both(right(low, 4 * j), words(15)), left(both(right(high, 2 * j), words(3)), 4));
  }
  ZSE_INLINE Ints columns(const Block& block, int j, int i) { return look_up<Iq4NlNibbles>(block.qs, 4 * j, i); }

  template <int n>
  ZSE_INLINE void add(Floats* sums, const Block& block, const Together<n>* a) {
    const Floats d = from_halves(block.d), least = multiply(d, floats(-32));
    for (int j = 0; j < 8; j++) {
      const Ints six = whole_scale(block, j);
      Ints w[8];
      block_columns<LanesIq4Xs>(w, block, j);
      add_block<n, kMost>(sums, w, multiply_add(d, to_floats(six), least), a[j]);
    }
  }
};

}  // namespace zse::kernels

#endif
