// Owns reading a GGUF tensor's weights as float32, a row at a time, by ggml's own dequantizers. Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "header.h"

namespace zse::gguf {

/** The bytes of row `row` (of the flattened rows of any rank) of a tensor of the file `bytes`. */
std::string_view row_bytes(const Tensor& tensor, std::string_view bytes, uint64_t row);

/** Writes the row's shape[0] values. @throws FileError for types that hold no weights */
void read_row(const Tensor& tensor, std::string_view bytes, uint64_t row, float* out);

}  // namespace zse::gguf
