#include "contents.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/refuse.h"

namespace zse {

const char* to_string(Coding coding) {
  switch (coding) {
    case Coding::kF32: return "float32";
    case Coding::kF16: return "float16";
    case Coding::kInt8Flat: return "int8, flat groups";
    case Coding::kInt4Flat: return "int4 asymmetric, flat groups";
    case Coding::kInt8Rows: return "int8, one scale a row";
    case Coding::kInt4Rows: return "int4 symmetric, groups within rows";
  }
  return "";
}

const char* to_string(Layout layout) { return layout == Layout::kTiled ? "tiled" : "row-major"; }

const char* to_string(LayoutEvidence evidence) {
  switch (evidence) {
    case LayoutEvidence::kNone: return "";
    case LayoutEvidence::kRank: return "only matrices are ever tiled";
    case LayoutEvidence::kSize: return "its number of bytes fits no other";
    case LayoutEvidence::kFingerprint: return "its groups reach codes 0 and 15 in no other";
    case LayoutEvidence::kIdentical: return "both layouts are the same here";
    case LayoutEvidence::kMajority: return "as most of the file's tensors";
    case LayoutEvidence::kFlag: return "as the file's tiled_weights says";
    case LayoutEvidence::kForced: return "asked for";
  }
  return "";
}

int64_t checked_elements(const std::vector<int64_t>& shape, uint64_t offset, const std::string& what) {
  constexpr int64_t kMost = int64_t{1} << 40;
  if (shape.empty() || shape.size() > 4) refuse(offset, what + " has no shape, or more than 4 dimensions");
  int64_t elements = 1;
  for (const int64_t dimension : shape) {
    if (dimension <= 0 || dimension > kMost / elements) {
      refuse(offset, what + " has a dimension of " + std::to_string(dimension) +
                         "; each must be 1 or more, and a tensor has 2^40 elements at most");
    }
    elements *= dimension;
  }
  return elements;
}

void check_index(const std::vector<Tensor>& tensors) {
  struct Used {
    Range range;
    const Tensor* tensor;
  };
  std::vector<Used> used;
  std::vector<const Tensor*> by_name;
  for (const Tensor& tensor : tensors) {
    by_name.push_back(&tensor);
    for (const Range& range : {tensor.data, tensor.scales, tensor.zeros}) {
      if (range.size > 0) used.push_back({range, &tensor});
    }
  }
  std::sort(by_name.begin(), by_name.end(), [](const Tensor* a, const Tensor* b) { return a->name < b->name; });
  for (size_t i = 1; i < by_name.size(); i++) {
    if (by_name[i]->name == by_name[i - 1]->name) {
      refuse(by_name[i]->entry_offset, "two tensors have the name \"" + by_name[i]->name + "\"");
    }
  }
  std::sort(used.begin(), used.end(), [](const Used& a, const Used& b) { return a.range.offset < b.range.offset; });
  for (size_t i = 1; i < used.size(); i++) {
    const Used &before = used[i - 1], &after = used[i];
    if (before.range.offset + before.range.size > after.range.offset) {
      refuse(after.tensor->entry_offset, "the bytes of tensors \"" + before.tensor->name + "\" and \"" + after.tensor->name +
                                             "\" overlap at byte " + std::to_string(after.range.offset));
    }
  }
}

void check_config(const ModelConfig& config, uint64_t offset) {
  const auto within = [&](const char* key, int64_t value, int64_t most) {
    if (value >= 1 && value <= most) return;
    refuse(offset, std::string(key) + " is " + std::to_string(value) + "; it must be 1 to " + std::to_string(most));
  };
  constexpr int64_t kMostDimension = int64_t{1} << 20;
  within("num_layers", config.num_layers, 1024);
  within("num_heads", config.num_heads, kMostDimension);
  within("num_kv_heads", config.num_kv_heads, kMostDimension);
  within("head_dim", config.head_dim, kMostDimension);
  within("hidden_size", config.hidden_size, kMostDimension);
  within("intermediate_size", config.intermediate_size, kMostDimension);
  within("vocab_size", config.vocab_size, int64_t{1} << 21);
  within("max_seq_len", config.max_seq_len, int64_t{1} << 30);
  if (config.sliding_window) within("sliding_window", *config.sliding_window, int64_t{1} << 30);
  if (config.num_heads % config.num_kv_heads != 0) {
    refuse(offset, "num_heads " + std::to_string(config.num_heads) + " is no multiple of num_kv_heads " +
                       std::to_string(config.num_kv_heads));
  }
  if (config.head_dim % 2 != 0) refuse(offset, "head_dim is " + std::to_string(config.head_dim) + "; it must be even");
  const auto finite_above_zero = [&](const char* key, double value) {
    if (value > 0 && value < 1e30) return;
    refuse(offset, std::string(key) + " is " + std::to_string(value) + "; it must be above zero");
  };
  finite_above_zero("rope_theta", config.rope_theta);
  finite_above_zero("rms_norm_eps", config.rms_norm_eps);
  if (config.attn_logit_softcapping) finite_above_zero("attn_logit_softcapping", *config.attn_logit_softcapping);
  if (config.final_logit_softcapping) finite_above_zero("final_logit_softcapping", *config.final_logit_softcapping);
}

}  // namespace zse
