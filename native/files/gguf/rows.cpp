#include "rows.h"

#include <cstring>

#include "ggml.h"

namespace zse::gguf {

std::string_view row_bytes(const Tensor& tensor, std::string_view bytes, uint64_t row) {
  const uint64_t rows = tensor.elements() / tensor.shape[0];
  const uint64_t size = tensor.size / rows;
  return bytes.substr(tensor.offset + row * size, size);
}

void read_row(const Tensor& tensor, std::string_view bytes, uint64_t row, float* out) {
  const std::string_view from = row_bytes(tensor, bytes, row);
  if (tensor.type == GGML_TYPE_F32) {
    std::memcpy(out, from.data(), from.size());
    return;
  }
  const ggml_type_traits* traits = ggml_get_type_traits(static_cast<ggml_type>(tensor.type));
  if (!traits->to_float) {
    throw FileError(tensor.position, "tensor \"" + shown(tensor.name) + "\" is stored as " + traits->type_name +
                                         ", which is no type for weights");
  }
  traits->to_float(from.data(), out, static_cast<int64_t>(tensor.shape[0]));
}

}  // namespace zse::gguf
