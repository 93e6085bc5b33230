#include "generation1.h"

#include <algorithm>
#include <unordered_map>

#include "base/json.h"
#include "base/refuse.h"
#include "hf_tokenizer.h"

namespace zse {

namespace {

constexpr uint64_t kJsonAt = 12, kMostHeaderBytes = 10 << 20;

/** dtype codes of the tensor entries. */
enum Dtype : int64_t { kF32 = 0, kF16 = 1, kBF16 = 2, kInt8 = 3, kInt4 = 4 };

struct Entry {
  std::string name;
  std::vector<int64_t> shape, original_shape;  // as stored; of the values, or empty
  int64_t dtype = 0, quant_type = 0, group_size = 0;
  Range data;
};

std::vector<int64_t> read_shape(const Json& entry, const char* key) {
  std::vector<int64_t> shape;
  const Json* value = field(entry, key);
  if (!value) return shape;
  if (!value->is_array() || value->size() > 4)
    refuse(kJsonAt, std::string("\"") + key + "\" of a tensor is not a list of 1 to 4 integers");
  for (const Json& dimension : *value) {
    if (!dimension.is_number_integer())
      refuse(kJsonAt, std::string("\"") + key + "\" of a tensor holds something else than integers");
    shape.push_back(dimension.get<int64_t>());
  }
  return shape;
}

Entry read_entry(const Json& json, Bytes file, uint64_t header_end) {
  Entry entry;
  entry.name = text_field(json, "name", "", kJsonAt);
  if (entry.name.empty()) refuse(kJsonAt, "a tensor of the header has no name");
  const std::string what = "tensor \"" + entry.name + "\"";
  entry.shape = read_shape(json, "shape");
  entry.original_shape = read_shape(json, "original_shape");
  entry.dtype = integer_field(json, "dtype", -1, kJsonAt);
  entry.quant_type = integer_field(json, "quant_type", 0, kJsonAt);
  entry.group_size = integer_field(json, "group_size", 0, kJsonAt);
  const int64_t offset = integer_field(json, "offset", -1, kJsonAt), size = integer_field(json, "size", -1, kJsonAt);
  if (offset < 0 || size < 0 || static_cast<uint64_t>(offset) < header_end ||
      !file.holds(static_cast<uint64_t>(offset), static_cast<uint64_t>(size))) {
    refuse(kJsonAt, what + " lies outside the file's data: " + std::to_string(offset) + " and " + std::to_string(size) +
                        " more of " + std::to_string(file.size) + " bytes; the file may be cut off");
  }
  entry.data = {static_cast<uint64_t>(offset), static_cast<uint64_t>(size)};
  if (entry.quant_type != 0 && entry.quant_type != 1) {
    refuse(kJsonAt, what + " has quant_type " + std::to_string(entry.quant_type) + "; 0 and 1 are known");
  }
  if (entry.dtype == kBF16) unsupported(what + " is stored as bfloat16, which no known writer of .zse files does");
  if (entry.dtype != kF32 && entry.dtype != kF16 && entry.dtype != kInt8 && entry.dtype != kInt4) {
    refuse(kJsonAt, what + " has dtype " + std::to_string(entry.dtype) +
                        "; 0 (float32), 1 (float16), 3 (int8) and 4 (int4) are known");
  }
  return entry;
}

std::string canonical(const std::string& name) { return name.rfind("model.", 0) == 0 ? name.substr(6) : name; }

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/** Buffers that old checkpoints carry, computed anew by every engine; their dtype may be a wrong label. */
bool is_known_buffer(const std::string& name) {
  for (const char* end : {"rotary_emb.inv_freq", "position_ids", "attn.bias", "attn.masked_bias"}) {
    if (ends_with(name, end)) return true;
  }
  return false;
}

/** Row length of a packed matrix whose writer did not keep it: the model's own, where only padding is between the two. */
int64_t columns_of(const std::string& name, int64_t padded, int64_t group, const ModelConfig& config) {
  int64_t columns = config.hidden_size;
  if (ends_with(name, "down_proj.weight")) columns = config.intermediate_size;
  if (ends_with(name, "o_proj.weight")) columns = config.num_heads * config.head_dim;
  return columns <= padded && padded - columns < group ? columns : padded;
}

Tensor to_tensor(const Entry& entry, const Entry* scales, const ModelConfig& config) {
  const std::string what = "tensor \"" + entry.name + "\"";
  const auto stored = static_cast<uint64_t>(checked_elements(entry.shape, kJsonAt, what));
  Tensor tensor;
  tensor.name = canonical(entry.name);
  tensor.shape = entry.shape;
  tensor.data = entry.data;
  tensor.entry_offset = kJsonAt;
  const uint64_t bytes = stored * (entry.dtype == kF32 ? 4 : entry.dtype == kF16 ? 2 : 1);
  if (entry.data.size != bytes) {
    refuse(kJsonAt,
           what + " has " + std::to_string(entry.data.size) + " bytes, and its shape needs " + std::to_string(bytes));
  }
  if (entry.dtype == kF32 || entry.dtype == kF16) {
    if (entry.quant_type != 0) refuse(kJsonAt, what + " is of floats and said to be quantized");
    tensor.coding = entry.dtype == kF32 ? Coding::kF32 : Coding::kF16;
    return tensor;
  }

  if (entry.shape.size() != 2) refuse(kJsonAt, what + " is quantized and not a matrix");
  if (!scales) refuse(kJsonAt, what + " is quantized and \"" + entry.name + ".scales\" is missing");
  uint64_t count = static_cast<uint64_t>(entry.shape[0]);
  if (entry.dtype == kInt8) {
    tensor.coding = Coding::kInt8Rows;
  } else {
    tensor.coding = Coding::kInt4Rows;
    tensor.group_size = entry.group_size;
    const int64_t padded = entry.shape[1] * 2, group = entry.group_size;
    if (group <= 0 || group > 65536 || group % 2 != 0 || padded % group != 0) {
      refuse(kJsonAt, what + " has group_size " + std::to_string(group) +
                          ", which must be even, 2 to 65536, and divide its padded rows of " + std::to_string(padded));
    }
    const int64_t columns =
        !entry.original_shape.empty() ? entry.original_shape.back() : columns_of(entry.name, padded, group, config);
    const bool same_rows =
        entry.original_shape.empty() || (entry.original_shape.size() == 2 && entry.original_shape[0] == entry.shape[0]);
    if (!same_rows || columns <= 0 || columns > padded || padded - columns >= group) {
      refuse(kJsonAt, what + " has an original_shape that does not belong to its packed shape");
    }
    tensor.shape[1] = columns;
    count *= static_cast<uint64_t>(padded / group);
  }
  if (scales->dtype != kF16 || scales->data.size != count * 2) {
    refuse(kJsonAt, what + " has " + std::to_string(scales->data.size) + " bytes of scales, and needs " +
                        std::to_string(count * 2) + " of float16");
  }
  tensor.scales = scales->data;
  return tensor;
}

std::vector<Tensor> read_tensors(const Json& header, Bytes file, uint64_t header_end, const ModelConfig& config) {
  const Json* list = field(header, "tensors");
  if (!list || !list->is_array()) refuse(kJsonAt, "the header has no list of tensors");
  std::vector<Entry> entries;
  std::unordered_map<std::string, const Entry*> scales;
  entries.reserve(list->size());
  for (const Json& json : *list) {
    if (is_known_buffer(text_field(json, "name", "", kJsonAt))) continue;
    entries.push_back(read_entry(json, file, header_end));
    if (!ends_with(entries.back().name, ".scales")) continue;
    if (!scales.emplace(entries.back().name, &entries.back()).second)
      refuse(kJsonAt, "two tensors are called \"" + entries.back().name + "\"");
  }
  std::vector<Tensor> tensors;
  for (const Entry& entry : entries) {
    if (ends_with(entry.name, ".scales")) continue;
    const auto found = scales.find(entry.name + ".scales");
    tensors.push_back(to_tensor(entry, found == scales.end() ? nullptr : found->second, config));
    if (found != scales.end()) scales.erase(found);
  }
  if (!scales.empty()) refuse(kJsonAt, "\"" + scales.begin()->first + "\" are scales of no tensor");
  return tensors;
}

std::string arch_of(const Json& header, const Json& hf) {
  std::string type = text_field(hf, "model_type", text_field(header, "model_type", "", kJsonAt), kJsonAt);
  if (!type.empty()) return type;
  const std::string name = text_field(header, "architecture", "", kJsonAt);
  const std::unordered_map<std::string, std::string> known = {{"LlamaForCausalLM", "llama"},
                                                              {"MistralForCausalLM", "mistral"},
                                                              {"Qwen2ForCausalLM", "qwen2"},
                                                              {"Phi3ForCausalLM", "phi3"},
                                                              {"Gemma2ForCausalLM", "gemma2"}};
  const auto found = known.find(name);
  return found == known.end() ? name : found->second;
}

RopeScaling read_rope_scaling(const Json& json) {
  RopeScaling scaling;
  scaling.type = text_field(json, "rope_type", text_field(json, "type", "", kJsonAt), kJsonAt);
  const auto number = [&](const char* key, std::optional<double>& into) {
    if (field(json, key)) into = number_field(json, key, 0, kJsonAt);
  };
  number("factor", scaling.factor);
  number("low_freq_factor", scaling.low_freq_factor);
  number("high_freq_factor", scaling.high_freq_factor);
  number("original_max_position_embeddings", scaling.original_max_position_embeddings);
  number("attention_factor", scaling.attention_factor);
  number("beta_fast", scaling.beta_fast);
  number("beta_slow", scaling.beta_slow);
  number("mscale", scaling.mscale);
  number("mscale_all_dim", scaling.mscale_all_dim);
  if (field(json, "truncate")) scaling.truncate = boolean_field(json, "truncate", true, kJsonAt);
  const auto numbers = [&](const char* key, std::vector<double>& into) {
    const Json* list = field(json, key);
    if (!list) return;
    if (!list->is_array()) refuse(kJsonAt, std::string("\"") + key + "\" is not a list of numbers");
    for (const Json& one : *list) {
      if (!one.is_number()) refuse(kJsonAt, std::string("\"") + key + "\" is not a list of numbers");
      into.push_back(one.get<double>());
    }
  };
  numbers("long_factor", scaling.long_factor);
  numbers("short_factor", scaling.short_factor);
  return scaling;
}

ModelConfig read_config(const Json& header) {
  const std::string hf_text = text_field(header, "hf_config_json", "", kJsonAt);
  const Json hf = hf_text.empty() ? Json::object() : parse_json(hf_text, kJsonAt, "hf_config_json", kMostHeaderBytes);
  if (!hf.is_object()) refuse(kJsonAt, "hf_config_json is not an object");
  // What the Hugging Face configuration leaves out because it is its class's default, the header has.
  const auto integer = [&](const char* key, int64_t fallback) {
    const int64_t in_header = integer_field(header, key, 0, kJsonAt);
    const int64_t value = integer_field(hf, key, in_header != 0 ? in_header : fallback, kJsonAt);
    if (in_header != 0 && in_header != value) {
      refuse(kJsonAt, std::string("\"") + key + "\" is " + std::to_string(in_header) + " in the header and " +
                          std::to_string(value) + " in the Hugging Face configuration inside it");
    }
    return value;
  };
  const auto number = [&](const char* key, double fallback) {
    return number_field(hf, key, number_field(header, key, fallback, kJsonAt), kJsonAt);
  };
  ModelConfig config;
  config.arch = arch_of(header, hf);
  config.num_layers = integer("num_hidden_layers", 0);
  config.num_heads = integer("num_attention_heads", 0);
  config.num_kv_heads = integer("num_key_value_heads", config.num_heads);
  if (config.num_kv_heads == 0) config.num_kv_heads = config.num_heads;
  config.hidden_size = integer("hidden_size", 0);
  config.intermediate_size = integer("intermediate_size", 0);
  config.vocab_size = integer("vocab_size", 0);
  config.max_seq_len = integer("max_position_embeddings", 0);
  config.rope_theta = number("rope_theta", 10000.0);
  config.rms_norm_eps = number("rms_norm_eps", 1e-6);
  const int64_t heads = std::max<int64_t>(1, config.num_heads);
  config.head_dim = integer_field(hf, "head_dim", config.hidden_size / heads, kJsonAt);
  if (field(hf, "sliding_window")) config.sliding_window = integer_field(hf, "sliding_window", 0, kJsonAt);
  config.tie_word_embeddings = boolean_field(hf, "tie_word_embeddings", config.arch == "gemma2", kJsonAt);
  if (field(hf, "attn_logit_softcapping"))
    config.attn_logit_softcapping = number_field(hf, "attn_logit_softcapping", 0, kJsonAt);
  if (field(hf, "final_logit_softcapping"))
    config.final_logit_softcapping = number_field(hf, "final_logit_softcapping", 0, kJsonAt);
  if (field(hf, "original_max_position_embeddings")) {
    config.original_max_position_embeddings = integer_field(hf, "original_max_position_embeddings", 0, kJsonAt);
  }
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (config.arch == "gemma2" && hf.contains(key) && hf[key].is_null())
      unsupported(std::string("its configuration turns ") + key + " off, and llama.cpp applies it always");
  }
  if (field(hf, "query_pre_attn_scalar"))
    config.query_pre_attn_scalar = number_field(hf, "query_pre_attn_scalar", 0, kJsonAt);
  config.activation = text_field(hf, "hidden_activation", text_field(hf, "hidden_act", "", kJsonAt), kJsonAt);
  const auto read_rotated_part = [&](const Json& from) {
    if (field(from, "partial_rotary_factor"))
      config.partial_rotary_factor = number_field(from, "partial_rotary_factor", 1, kJsonAt);
  };
  read_rotated_part(hf);
  if (const Json* scaling = field(hf, "rope_scaling")) config.rope_scaling = read_rope_scaling(*scaling);
  if (const Json* rope = field(hf, "rope_parameters")) {  // the newer place of both
    config.rope_theta = number_field(*rope, "rope_theta", config.rope_theta, kJsonAt);
    if (!config.rope_scaling) config.rope_scaling = read_rope_scaling(*rope);
    read_rotated_part(*rope);
  }
  const std::string quantization = text_field(header, "quantization", "none", kJsonAt);
  config.quant = {quantization == "int4"   ? 1
                  : quantization == "int8" ? 2
                                           : 0,
                  quantization == "int4"   ? 4
                  : quantization == "int8" ? 8
                                           : 16,
                  128,
                  {}};
  check_config(config, kJsonAt);
  return config;
}

/** The range of the tokenizer's JSON; empty where there is none. */
Range tokenizer_range(const Json& header, Bytes file, uint64_t header_end) {
  const int64_t offset = integer_field(header, "tokenizer_offset", 0, kJsonAt),
                size = integer_field(header, "tokenizer_size", 0, kJsonAt);
  if (offset == 0 && size == 0) return {};
  if (offset < 0 || size < 4 || static_cast<uint64_t>(offset) < header_end ||
      !file.holds(static_cast<uint64_t>(offset), static_cast<uint64_t>(size))) {
    refuse(kJsonAt, "the tokenizer lies outside the file: " + std::to_string(offset) + " and " + std::to_string(size) +
                        " more of " + std::to_string(file.size) + " bytes");
  }
  const auto at = static_cast<uint64_t>(offset);
  const auto length = load<uint32_t>(file.data + at);
  if (length != static_cast<uint64_t>(size) - 4) {
    refuse(at,
           "the tokenizer has " + std::to_string(length) + " bytes here and " + std::to_string(size - 4) + " by the header");
  }
  return {at + 4, length};
}

}  // namespace

ZseContents parse_generation1(Bytes file) {
  if (file.size < kJsonAt) refuse(file.size, "the file ends inside its header; copy or download it again");
  if (file.data[4] != 1)
    refuse(4, "the format version is " + std::to_string(file.data[4]) + "; version 1 is the only one known");
  const auto json_bytes = load<uint32_t>(file.data + 8);
  if (!file.holds(kJsonAt, json_bytes)) {
    refuse(8, "the header has " + std::to_string(json_bytes) +
                  " bytes of JSON, and the file ends before; copy or download it again");
  }
  const Json header = parse_json(file.part(kJsonAt, json_bytes).text(), kJsonAt, "the header", kMostHeaderBytes);
  if (!header.is_object()) refuse(kJsonAt, "the header is not a JSON object");
  const uint64_t header_end = kJsonAt + json_bytes;

  ZseContents contents;
  contents.generation = 1;
  contents.config = read_config(header);
  contents.tensors = read_tensors(header, file, header_end, contents.config);
  contents.source_model = text_field(header, "source_model", "", kJsonAt);
  const bool has_head = std::any_of(contents.tensors.begin(), contents.tensors.end(),
                                    [](const Tensor& tensor) { return tensor.name == "lm_head.weight"; });
  if (text_field(header, "hf_config_json", "", kJsonAt).empty()) contents.config.tie_word_embeddings = !has_head;

  contents.sections.push_back({"header", {kJsonAt, json_bytes}, {}});
  const Range tokenizer = tokenizer_range(header, file, header_end);
  if (tokenizer.size > 0) {
    contents.sections.push_back({"tokenizer", tokenizer, {}});
    const std::string_view text = file.part(tokenizer.offset, tokenizer.size).text();
    contents.tokenizer =
        read_hf_tokenizer(parse_json(text, tokenizer.offset, "the tokenizer", uint64_t{256} << 20), tokenizer.offset);
    for (const Tensor& tensor : contents.tensors) {
      if (tensor.data.offset < tokenizer.offset + tokenizer.size &&
          tokenizer.offset < tensor.data.offset + tensor.data.size) {
        refuse(kJsonAt, "tensor \"" + tensor.name + "\" overlaps the tokenizer");
      }
    }
  }
  uint64_t first = file.size, end = 0;
  for (const Tensor& tensor : contents.tensors) {
    for (const Range& range : {tensor.data, tensor.scales}) {
      if (range.size == 0) continue;
      first = std::min(first, range.offset);
      end = std::max(end, range.offset + range.size);
    }
  }
  if (end > first) contents.sections.push_back({"tensors", {first, end - first}, {}});
  return contents;
}

}  // namespace zse
