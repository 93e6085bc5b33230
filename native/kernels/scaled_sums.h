// Owns how the products of a block of weights with activations are scaled and added to what each row of activations has so far: with one scale for 32
// columns or two, and a minimum where there is one. Pure; any thread. For lanes_types.h.
#pragma once

#include "products_neon.h"
#include "products_x86.h"

#ifdef ZSE_LANES

namespace zse::kernels {

/** Adds to `sums` a block of 32 columns: groups of four columns in `w`, scaled. */
template <int n, int most>
ZSE_INLINE void add_block(Floats* sums, const Ints* w, Floats scale, const Together<n>& a) {
  for_products<n, 8, most>(
      w, a, 0, [&](auto part) { return part.whole(a.sums.whole[0]); },
      [&](auto part, Ints whole) {
        Floats& sum = sums[part.sums()];
        sum = multiply_add(to_floats(whole), multiply(part.weights(scale), part.numbers(a.scales)), sum);
      });
}

/** The same of weights that have a minimum, which is added to each. */
template <int n, int most>
ZSE_INLINE void add_block(Floats* sums, const Ints* w, Floats scale, Floats minimum, const Together<n>& a) {
  for_products<n, 8, most>(
      w, a, 0, [&](auto) { return words(0); },
      [&](auto part, Ints whole) {
        Floats& sum = sums[part.sums()];
        sum = multiply_add(part.weights(minimum), part.numbers(a.sums.parts[0]), sum);
        sum = multiply_add(to_floats(whole), multiply(part.weights(scale), part.numbers(a.scales)), sum);
      });
}

#ifndef ZSE_LANES_NEON

/**
 * The same of weights whose scale is one of F16. Their sums begin at kBegunBits, so that one instruction makes a float of each and scales it: it takes the
 * place of two (docs/lab/matrix-products.md). The activations' scale comes last.
 */
template <int n, int most>
ZSE_INLINE void add_begun(Floats* sums, const Ints* w, Floats scale, const Together<n>& a) {
  const Floats less = begun(scale);
  for_products<n, 8, most>(
      w, a, 0, [&](auto part) { return part.whole(a.sums.whole[0]); },
      [&](auto part, Ints whole) {
        Floats& sum = sums[part.sums()];
        sum = multiply_add(scaled(whole, scale, less), part.numbers(a.scales), sum);
      });
}

template <int n, int most>
ZSE_INLINE void add_begun(Floats* sums, const Ints* w, Floats scale, Floats minimum, const Together<n>& a) {
  const Floats less = begun(scale);
  for_products<n, 8, most>(
      w, a, 0, [&](auto) { return words(kBegunBits); },
      [&](auto part, Ints whole) {
        Floats& sum = sums[part.sums()];
        sum = multiply_add(minimum, part.numbers(a.sums.parts[0]), sum);
        sum = multiply_add(scaled(whole, scale, less), part.numbers(a.scales), sum);
      });
}

#endif

/** The same of weights whose first sixteen columns have another scale than the others. */
template <int n, int most>
ZSE_INLINE void add_half_blocks(Floats* sums, const Ints* w, const Floats* scales, const Together<n>& a) {
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
    for_products<n, 4, most>(
        w + 4 * half, a, 16 * half, [&](auto part) { return part.whole(a.sums.whole[half]); },
        [&](auto part, Ints whole) {
          Floats& sum = sums[part.sums()];
          sum = multiply_add(to_floats(whole), multiply(part.weights(scales[half]), part.numbers(a.scales)), sum);
        });
  }
}

}  // namespace zse::kernels

#endif
