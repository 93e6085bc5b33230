#include "tensor_types.h"

#include "ggml.h"

namespace zse::gguf {

const char* type_name(uint32_t type) { return ggml_type_name(static_cast<ggml_type>(type)); }
int64_t block_size(uint32_t type) { return ggml_blck_size(static_cast<ggml_type>(type)); }

}  // namespace zse::gguf
