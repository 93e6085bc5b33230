// Owns how ggml's CPU backend comes to our kernels: one more of the backend's extra buffer types, which it asks about every node before it
// computes the node itself. Asked on ggml's compute threads, all of them at once.
#pragma once

#include "ggml-backend.h"

namespace zse::kernels {

/** First among the backend's extra buffer types (vendor/patches/0001). */
ggml_backend_buffer_type_t buffer_type();

class InterleavedWeights;

/** Who multiplies these weights, where they lie in such a buffer; else null. */
InterleavedWeights* placed(const ggml_tensor* weights);

}  // namespace zse::kernels
