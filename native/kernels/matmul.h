// Owns matrix products with weights that are stored in an order of ours: who is taken, how they are put into that order, and who of ggml's
// compute threads multiplies what. Products run on all of them at once; weights are put in order by threads of whoever loads a model, each some rows.
#pragma once

#include "ggml.h"
#include "traits.h"

namespace zse::kernels {

class InterleavedWeights : public ggml::cpu::tensor_traits {
 public:
  /** Whether rows of such weights can be put together. */
  virtual bool takes(const ggml_tensor* weights) const = 0;

  /** So many rows of weights, or an even part of them, are put together. */
  static constexpr int64_t kTogether = 16;

  /** Fills the rows from `first` to before `end` of all planes from their type's usual order, which `usual` has of the whole tensor. Both are multiples of kTogether, or the end. */
  virtual void interleave(ggml_tensor* weights, const void* usual, int64_t first, int64_t end) const = 0;

  /** Fills `usual` with one row of the tensor's in its type's usual order. */
  virtual void take_out(const ggml_tensor* weights, int64_t row, void* usual) const = 0;

  /** Writes `n` numbers: what the gate lets through of `from`. */
  using Gate = void (*)(int n, float* to, const float* gate, const float* from);

  /** Computes `result` of two products of the same activations, a few columns of both at a time: neither is written to memory as a whole. */
  virtual void multiply_gated(const ggml_compute_params* params, const ggml_tensor* gate, const ggml_tensor* from, Gate by,
                              ggml_tensor* result) const = 0;
};

/** How such weights are multiplied; null where ggml's own kernels are to have them. */
InterleavedWeights* interleaved(const ggml_tensor* weights);

}  // namespace zse::kernels
