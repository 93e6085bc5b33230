// Owns a super-block of sixteen rows of weights as it is multiplied many times over: unpacked to bytes, with its scales as they are applied. For K-quants and
// IQ4_XS on AVX-512 with VNNI. Pure; any thread. For products_superblocks.h.
//
// Unpacking takes a tenth to a third of the time of twelve rows of activations (docs/lab/matrix-products.md). Prompts have hundreds, so they do it once.
#pragma once

#include "paired_sums.h"

#ifdef ZSE_SUPERBLOCKS

namespace zse::kernels {

template <class Kind>
struct Unpacked {
  using Block = typename Kind::Block;
  using Scales = WholeScales<Kind>;
  static constexpr bool kPairs = Pairs<Kind>::kAny;
  static constexpr int kParts = 8 * Scales::kParts, kGroups = 8 / Scales::kParts;

  Ints values[kParts][kGroups];  // four columns of sixteen rows each, part by part
  Ints scales_of[kPairs ? kParts / 2 : kParts];
  Factors<Kind> factors;

  void read(const Block& block) {
    const Scales by(block);
    factors = Factors<Kind>(by);
    if constexpr (kPairs) {
      const PackedPairs<Kind> pairs{block, by};
      for_blocks<true, kParts / 2>([&](int pair) ZSE_INLINE_LAMBDA {
#pragma GCC unroll 8
        for (int group = 0; group < kGroups; group++) {
          values[2 * pair][group] = pairs.first(pair, group);
          values[2 * pair + 1][group] = pairs.second(pair, group);
        }
        scales_of[pair] = pairs.scales(pair);
      });
    } else {
      for_blocks<true>([&](int j) ZSE_INLINE_LAMBDA {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) values[j * Scales::kParts + i / kGroups][i % kGroups] = Kind::columns(block, j, i);
        for (int part = 0; part < Scales::kParts; part++) scales_of[j * Scales::kParts + part] = by.of(j, part);
      });
    }
  }

  Ints first(int pair, int i) const { return values[2 * pair][i]; }
  Ints second(int pair, int i) const { return values[2 * pair + 1][i]; }
  Ints scales(int pair) const { return scales_of[pair]; }

  Ints columns(int j, int i) const { return values[j * Scales::kParts + i / kGroups][i % kGroups]; }
  Ints of(int j, int part) const { return scales_of[j * Scales::kParts + part]; }
};

}  // namespace zse::kernels

#endif
