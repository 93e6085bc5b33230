// Owns the GGUF file that a .zse file is equivalent to, before there are bytes: metadata, and for each tensor its GGUF name, type, and
// which rows of which .zse tensor it takes. Pure; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "files/zse/tokenizer.h"
#include "files/zse/transcode.h"
#include "files/zse/zse_file.h"

namespace zse {

using GgufValue = std::variant<uint32_t, int32_t, float, bool, std::string, std::vector<std::string>, std::vector<float>,
                               std::vector<int32_t>>;

/**
 * Ours, beside GGUF's own keys: "NFC" where texts are to be normalized so before they are tokenized, which llama.cpp does not do.
 */
constexpr const char* kNormalizerKey = "zstream.tokenizer.normalizer";

struct GgufEntry {
  std::string key;
  GgufValue value;
};

struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::kF32;
  bool exact = true;              // false: rounded to F16, since no ggml type has these groups
  int64_t rows = 1, columns = 1;  // GGUF's ne is {columns, rows}, {columns} for a vector
  bool vector = false;
  const Tensor* source = nullptr;  // null: `values`
  int64_t rotated_head_dim =
      0;          // not 0: rows of q/k reordered within heads of so many rows, as llama.cpp's rotation wants them
  float add = 0;  // 1 for gemma's norms
  std::vector<float> values;  // rope factors

  /**
   * The row (of a vector: the element) of `source` that is row `row` here. llama.cpp's rotation turns neighbouring rows of a head, the
   * file has the two halves of each head one after the other.
   */
  int64_t source_row(int64_t row) const;
};

struct GgufPlan {
  std::vector<GgufEntry> metadata;
  std::vector<GgufTensor> tensors;
  bool nfc = false;                // texts are to be normalized to NFC before tokenizing
  std::vector<std::string> notes;  // what was guessed, left out or rounded; sentences for people
};

struct GgufPlanOptions {
  bool weights_as_f32 = false;     // for exact comparison with other implementations
  bool without_tokenizer = false;  // take a file that has none: it computes, but knows no text
};

/** Throws EngineError BAD_MODEL or UNSUPPORTED where the tensors are not those of the architecture. */
GgufPlan plan_gguf(const std::shared_ptr<const ZseFile>& file, const GgufPlanOptions& options = {});

}  // namespace zse
