// Owns how a super-block's products are summed with their scales where a register has eight lanes (AVX2, AVX-VNNI): row by row of activations, since sixteen
// registers hold a block's weights and little else. For K-quants and IQ4_XS. Pure; any thread. For products_superblocks.h.
#pragma once

#include <type_traits>

#include "superblock_parts.h"

#if defined(ZSE_SUPERBLOCKS) && ZSE_LANES == 8

namespace zse::kernels {

template <class Kind>
class RowSums {
  using Block = typename Kind::Block;
  static constexpr bool kMinima = WholeScales<Kind>::kMinima;
  // Parts of a block of 32 columns, and groups of four columns in each.
  static constexpr int kParts = WholeScales<Kind>::kParts, kGroups = 8 / kParts;

 public:
  /**
   * All products of a super-block with each of `n` rows of activations: `of` is how `block` is read (superblock_parts.h). Memory brings what is
   * `ahead`.
   */
  template <int n, class Weights>
  ZSE_INLINE void sum(Ints* whole, const Weights& of, const SuperTogether<Kind, n>& a, const Block& block, Ahead ahead) {
    for (int row = 0; row < n; row++) whole[row] = words(0);
    const Larger<n> larger(a);
    for_periods<Weights::period(n)>([&](int j) ZSE_INLINE_LAMBDA {
      fetch<8>(block, j, ahead);
      add<n>(whole, Of32(of, j), a, block, larger);
    });
  }

 private:
  // A block of 32 columns: its weights, four columns of eight rows in each, and its parts' scales.
  struct Of32 {
    template <class Weights>
    ZSE_INLINE_MEMBER Of32(const Weights& of, int j) : j(j) {
#pragma GCC unroll 2
      for (int k = 0; k < kParts; k++) {
        scales[k] = of.scale(kParts * j + k);
#pragma GCC unroll 8
        for (int i = 0; i < kGroups; i++) w[kGroups * k + i] = of.columns(kParts * j + k, i);
      }
    }
    Ints w[8], scales[kParts];
    const int j;
  };

  template <int n>
  ZSE_INLINE const int8_t* values(const SuperTogether<Kind, n>& a, int j, int group, int row) {
    return a.values[2 * j + group / 4][row] + group % 4 * 4;
  }

#ifdef ZSE_LANES_VNNI

  static constexpr int kChains = 4;  // sums under way at once: each product waits for the one before, and so many hide that

  // Which parts' sums may not fit 16 bits, of each four rows any's.
  template <int n>
  struct Larger {
    ZSE_INLINE_MEMBER explicit Larger(const SuperTogether<Kind, n>& a) {
#pragma GCC unroll 16
      for (int row = 0; row < n; row++) parts[row / kChains] |= a.over[row];
    }
    bool any(int row, int j) const {
      return kFits16<Kind> && (parts[row / kChains] & ((1 << kParts) - 1) << kParts * j) != 0;
    }
    int32_t parts[(n + kChains - 1) / kChains] = {};
  };

  template <int n>
  ZSE_INLINE void add(Ints* whole, const Of32& of, const SuperTogether<Kind, n>& a, const Block& block,
                      const Larger<n>& larger) {
    const auto add_next = [&](auto count, int row) ZSE_INLINE_LAMBDA {
      if (larger.any(row, of.j))
        add_larger<count()>(whole, block, a, of.j, row);
      else
        add_rows<count(), kFits16<Kind>>(whole, of, a, row);
    };
    constexpr int kWhole = n / kChains * kChains;
#pragma GCC unroll 1
    for (int row = 0; row < kWhole; row += kChains) add_next(std::integral_constant<int, kChains>(), row);
    if constexpr (kWhole < n) add_next(std::integral_constant<int, n - kWhole>(), kWhole);
  }

  // Rare: it must not lengthen the usual code, or take its registers.
  template <int count, int n>
  [[gnu::noinline]] static void add_larger(Ints* whole, const Block& block, const SuperTogether<Kind, n>& a, int j,
                                           int row) {
    add_rows<count, false>(whole, Of32(Packed<Kind, false>(block), j), a, row);
  }

  // Where sums `fit` 16 bits, one instruction scales and adds them. It multiplies both halves of a lane: the upper ones with zero.
  template <int count, bool fit, int n>
  ZSE_INLINE void add_rows(Ints* whole, const Of32& of, const SuperTogether<Kind, n>& a, int row) {
#pragma GCC unroll 2
    for (int k = 0; k < kParts; k++) {
      Ints sums[count];
#pragma GCC unroll 4
      for (int i = 0; i < count; i++) sums[i] = words(kMinima ? 0 : a.sums[kParts * of.j + k][row + i]);
#pragma GCC unroll 8
      for (int group = kGroups * k; group < kGroups * (k + 1); group++) {
#pragma GCC unroll 4
        for (int i = 0; i < count; i++) sums[i] = add_products(sums[i], of.w[group], values(a, of.j, group, row + i));
      }
#pragma GCC unroll 4
      for (int i = 0; i < count; i++)
        whole[row + i] =
            fit ? add_halves(whole[row + i], sums[i], of.scales[k]) : plus(whole[row + i], times(sums[i], of.scales[k]));
    }
  }

#else

  // Products are summed two and two in 16 bits, which hold as many groups' sums as the largest weight allows. With what a type subtracts taken off from the
  // beginning they hold all: what passes 16 bits on the way comes back.
  static constexpr int kLargest = Kind::kOffset > 0 ? Kind::kOffset : Kind::kMost;
  static constexpr int kFit = kLargest > 0 ? 32767 / (2 * kLargest * 127) : 1;
  static constexpr int kNarrow = kFit >= kGroups ? kGroups : kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1;
  static_assert(Kind::kOffset == 0 || kNarrow == kGroups, "all of a part's sum begins with what is taken off");

  template <int n>
  struct Larger {  // none: sums of two columns' products always fit
    explicit Larger(const SuperTogether<Kind, n>&) {}
  };

  template <int n>
  ZSE_INLINE void add(Ints* whole, const Of32& of, const SuperTogether<Kind, n>& a, const Block&, const Larger<n>&) {
    Ints twice[kParts];  // both halves of a lane are scaled
#pragma GCC unroll 2
    for (int k = 0; k < kParts; k++) twice[k] = either(both(of.scales[k], words(0xffff)), left(of.scales[k], 16));
#pragma GCC unroll 1
    for (int row = 0; row < n; row++) {
      Ints sum = whole[row];
#pragma GCC unroll 2
      for (int k = 0; k < kParts; k++) {
#pragma GCC unroll 8
        for (int group = kGroups * k; group < kGroups * (k + 1); group += kNarrow) {
          Ints narrow = products(of.w[group], values(a, of.j, group, row));
          if (Kind::kOffset > 0) narrow = _mm256_add_epi16(narrow, words(a.sums[kParts * of.j + k][row]));
#pragma GCC unroll 8
          for (int i = 1; i < kNarrow; i++)
            narrow = _mm256_add_epi16(narrow, products(of.w[group + i], values(a, of.j, group + i, row)));
          sum = add_halves(sum, narrow, twice[k]);
        }
      }
      whole[row] = sum;
    }
  }

  ZSE_INLINE Ints products(Ints w, const int8_t* values) {
    return Kind::kMost == kSigned ? signed_pairs(sizes(w), w, values) : pairs(w, values);
  }

#endif
};

}  // namespace zse::kernels

#endif
