// Owns how the parts of a super-block of sixteen rows of weights are read, each with its scale: as they are stored, or unpacked once to be multiplied many
// times over. For K-quants and IQ4_XS on x86. Pure; any thread. For products_superblocks.h.
//
// Where instructions compete, unpacking takes a tenth to a third of the time of twelve rows of activations (docs/lab/matrix-products.md). Prompts have
// hundreds, so they do it once.
#pragma once

#include "superblocks.h"

#ifdef ZSE_SUPERBLOCKS

namespace zse::kernels {

/** As they are stored. Where the parts' sums `fit` 16 bits, so do their scales, below zeros. */
template <class Kind, bool fit>
struct Packed {
  using Block = typename Kind::Block;
  using Scales = WholeScales<Kind>;
  static constexpr bool kFit = fit;
  static constexpr int period(int rows) {
    return rows <= 4 ? 8 : Kind::kPeriod;
  }  // with many rows the shorter code is as quick
  static constexpr int kWrittenOut =
      fit && !Scales::kMinima ? 4 : 0;  // up to how many rows of activations it is, so that shifts are known
  static constexpr int kGroups = 8 / Scales::kParts;

  ZSE_INLINE_MEMBER explicit Packed(const Block& block) : block(block), by(block) {}
  ZSE_INLINE_MEMBER Ints columns(int part, int i) const {
    return Kind::columns(block, part / Scales::kParts, part % Scales::kParts * kGroups + i);
  }
  ZSE_INLINE_MEMBER Ints scale(int part) const {
    const Ints whole = by.of(part / Scales::kParts, part % Scales::kParts);
    return fit && !Scales::kMinima ? both(whole, words(0xffff)) : whole;  // those of types with minima have no sign
  }
  Factors<Kind> factors() const { return Factors<Kind>(by); }

  const Block& block;
  const Scales by;
};

/** Unpacked to bytes, four columns of sixteen rows each, with scales as they are applied to the sums of usual activations. */
template <class Kind>
class Unpacked {
 public:
  static constexpr bool kFit = kFits16<Kind>;
  static constexpr int period(int) { return 1; }
  static constexpr int kWrittenOut = 0;

  void read(const typename Kind::Block& block) {
    const Packed<Kind, kFit> packed(block);
    factors_ = packed.factors();
    for_blocks<true>([&](int j) ZSE_INLINE_LAMBDA {
#pragma GCC unroll 2
      for (int part = kParts / 8 * j; part < kParts / 8 * (j + 1); part++) {
#pragma GCC unroll 8
        for (int i = 0; i < kGroups; i++) values_[part][i] = packed.columns(part, i);
        scales_[part] = packed.scale(part);
      }
    });
  }

  ZSE_INLINE_MEMBER Ints columns(int part, int i) const { return values_[part][i]; }
  ZSE_INLINE_MEMBER Ints scale(int part) const { return scales_[part]; }
  const Factors<Kind>& factors() const { return factors_; }

 private:
  static constexpr int kParts = 8 * WholeScales<Kind>::kParts, kGroups = Packed<Kind, kFit>::kGroups;
  Ints values_[kParts][kGroups];
  Ints scales_[kParts];
  Factors<Kind> factors_;
};

}  // namespace zse::kernels

#endif
