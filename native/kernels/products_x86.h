// Owns the sums of products of bytes with the instructions of lanes.h, on x86; products_neon.h owns them on ARM. Pure; any thread.
#pragma once

#include "products_rows.h"

#if defined(ZSE_LANES) && !defined(ZSE_LANES_NEON)

namespace zse::kernels {

constexpr int kChains = 4;  // sums under way at once: each addition waits for the one before, and so many hide that

/**
 * `then(part, products)` for each of `n` rows of activations: what `begin` says for the row and the products of `groups` times four columns of
 * weights with its values from column `first`. Weights are unsigned and `most` at most.
 */
template <int n, int groups, int most, class Begin, class Then>
ZSE_INLINE void for_products(const Ints* w, const Together<n>& a, int first, Begin begin, Then then) {
#ifdef ZSE_LANES_VNNI
#pragma GCC unroll 16
  for (int row = 0; row < n; row += kChains) {
    Ints sums[kChains];
#pragma GCC unroll 4
    for (int i = 0; i < kChains; i++)
      if (row + i < n) sums[i] = begin(Row{row + i});
#pragma GCC unroll 8
    for (int group = 0; group < groups; group++) {
#pragma GCC unroll 4
      for (int i = 0; i < kChains; i++)
        if (row + i < n) sums[i] = add_products(sums[i], w[group], a.values[row + i] + first + 4 * group);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kChains; i++)
      if (row + i < n) then(Row{row + i}, sums[i]);
  }
#else
  if constexpr (most == kSigned) {
    Ints sizes_of[groups];
#pragma GCC unroll 8
    for (int group = 0; group < groups; group++) sizes_of[group] = sizes(w[group]);
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) {
      Ints sum = begin(Row{row});
#pragma GCC unroll 8
      for (int group = 0; group < groups; group++)
        sum = add_wide(sum, signed_pairs(sizes_of[group], w[group], a.values[row] + first + 4 * group));
      then(Row{row}, sum);
    }
  } else {
    constexpr int kFit = 32767 / (2 * most * 127), kNarrow = kFit >= groups ? groups : kFit >= 4 ? 4 : kFit >= 2 ? 2 : kFit;
    static_assert(kNarrow > 0 && groups % kNarrow == 0, "such weights need another way");
#pragma GCC unroll 16
    for (int row = 0; row < n; row++) {
      const int8_t* values = a.values[row] + first;
      Ints sum = begin(Row{row});
#pragma GCC unroll 8
      for (int group = 0; group < groups; group += kNarrow) {
        Ints narrow = pairs(w[group], values + 4 * group);
#pragma GCC unroll 8
        for (int i = 1; i < kNarrow; i++) narrow = add_pairs(narrow, w[group + i], values + 4 * (group + i));
        sum = add_wide(sum, narrow);
      }
      then(Row{row}, sum);
    }
  }
#endif
}

}  // namespace zse::kernels

#endif
