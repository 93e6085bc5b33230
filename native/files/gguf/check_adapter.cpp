#include "check_adapter.h"

#include <cmath>
#include <string_view>

#include "base/error.h"
#include "base/file_map.h"
#include "check.h"
#include "ggml.h"
#include "header.h"
#include "tensor_types.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace zse::gguf {

namespace {

constexpr std::string_view kA = ".lora_a", kB = ".lora_b";

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

uint64_t position_of(const Header& header, std::string_view key) {
  const Value* value = header.find(key);
  return value ? value->position : 0;
}

void must_be(const Header& header, const char* key, std::string_view wanted) {
  const std::string_view found = header.text(key).value_or("");
  if (found == wanted) return;
  throw FileError(position_of(header, key), std::string("metadata key \"") + key + "\" is \"" + shown(found) +
                                                "\"; of a LoRA adapter it is \"" + std::string(wanted) + "\"");
}

/** What convert_lora_to_gguf.py writes; all of them can be multiplied, and looked up by row. */
bool holds_weights(uint32_t type) {
  return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || type == GGML_TYPE_Q8_0;
}

void check_tensor(const Header& header, const Tensor& tensor) {
  const auto bad = [&](const std::string& problem) {
    throw FileError(tensor.position, "tensor \"" + shown(tensor.name) + "\" " + problem);
  };
  const bool is_a = ends_with(tensor.name, kA), is_b = ends_with(tensor.name, kB);
  if (!is_a && !is_b) {
    if (!ends_with(tensor.name, "_norm.weight")) bad("is no half of a pair (…lora_a, …lora_b)");
    return;
  }
  if (!holds_weights(tensor.type)) {
    bad(std::string("is stored as ") + type_name(tensor.type) + "; those of adapters are F32, F16, BF16 or Q8_0");
  }
  if (tensor.rank < 2 || tensor.rank > 3 || tensor.elements() == 0) bad("has no rows and columns");
  const std::string base(tensor.name.substr(0, tensor.name.size() - kA.size()));
  const Tensor* other = header.tensor(base + std::string(is_a ? kB : kA));
  if (!other) bad("has no other half");
  const bool flipped = ends_with(base, "token_embd.weight");
  const uint64_t rank = flipped ? tensor.shape[0] : tensor.shape[is_a ? 1 : 0];
  const uint64_t other_rank = flipped ? other->shape[0] : other->shape[is_a ? 0 : 1];
  if (rank != other_rank || tensor.shape[2] != other->shape[2]) bad("does not fit its other half");
}

void check_all(const Header& header) {
  must_be(header, "general.type", "adapter");
  must_be(header, "adapter.type", "lora");
  header.text("general.architecture");
  if (!std::isfinite(header.float32("adapter.lora.alpha").value_or(0))) {
    throw FileError(position_of(header, "adapter.lora.alpha"), "metadata key \"adapter.lora.alpha\" is not a number");
  }
  if (header.tensors().empty()) throw FileError(header.size(), "it has no tensors");
  for (const Tensor& tensor : header.tensors()) check_tensor(header, tensor);
}

}  // namespace

uint64_t check_adapter(const std::string& path) {
  const auto file = FileMap::open(path);
  try {
    const Header header = read_header(*file);
    check_all(header);
    if (header.find("adapter.alora.invocation_tokens")) {
      throw EngineError(
          "UNSUPPORTED",
          "\"" + path + "\" is an adapter that certain tokens turn on (aLoRA); plain LoRA adapters are supported");
    }
  } catch (const FileError& error) {
    refuse(path, error);
  }
  const auto bytes = file->bytes();
  return XXH3_64bits(bytes.data, bytes.size);
}

}  // namespace zse::gguf
