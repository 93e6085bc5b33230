// Owns the names and blocks of ggml's tensor types, for rooms that know nothing of ggml. Pure; any thread.
#pragma once

#include <cstdint>

namespace zse::gguf {

/** Such as "q4_0"; the type is one that Header::parse has accepted. */
const char* type_name(uint32_t type);

/** Values that share a scale; 1 for plain numbers. */
int64_t block_size(uint32_t type);

}  // namespace zse::gguf
