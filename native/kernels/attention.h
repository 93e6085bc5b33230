// Owns flash attention for few query tokens (decoding, small pieces of a prompt) over a long KV cache. Runs on ggml's compute threads, all
// of them at once; in a build without vectors of a size that the compiler knows it takes nothing.
#pragma once

#include "traits.h"

namespace zse::kernels {

/** What ggml asks about each GGML_OP_FLASH_ATTN_EXT; what it does not take is left to ggml's own paths. Null where it never would. */
ggml::cpu::tensor_traits* attention();

}  // namespace zse::kernels
