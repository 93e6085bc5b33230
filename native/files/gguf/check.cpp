#include "check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>
#include <unordered_set>

#include "base/error.h"
#include "base/file_map.h"
#include "ggml.h"

namespace zse::gguf {

namespace {

constexpr uint32_t kMostLayers = 512;     // LLAMA_MAX_LAYERS
constexpr uint32_t kMostExperts = 512;    // LLAMA_MAX_EXPERTS
constexpr uint32_t kMostFileType = 1023;  // the next bit is LLAMA_FTYPE_GUESSED
constexpr uint32_t kMostContext = 1u << 30;
constexpr uint32_t kMostWidth = 1u << 20;
constexpr size_t kLongestTemplate = 1 << 20;

/** The values of llama.cpp's token types (llama_token_type). */
constexpr int32_t kByteToken = 6;

/** Looks at one file's metadata and tensors; every rule throws FileError. */
class Check {
 public:
  /** `others`: of a split model, the headers of the parts after the first. They have tensors only. */
  Check(const Header& header, const std::vector<Header>& others)
      : header_(header), others_(others), architecture_(header.text("general.architecture").value_or("")) {}

  void all() {
    sizes();
    attention();
    experts();
    numbers();
    tensor_types(header_);
    if (architecture_ == "phi3") attention_tensors();
    tokenizer();
    for (const auto& [key, value] : header_.metadata()) {
      if (key.substr(0, 23) == "tokenizer.chat_template") chat_template(value);
    }
  }

  static void tensor_types(const Header& header) {
    const auto ends_with = [](std::string_view text, std::string_view end) {
      return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
    };
    for (const Tensor& tensor : header.tensors()) {
      const bool vector =
          ends_with(tensor.name, "norm.weight") || ends_with(tensor.name, ".bias") || tensor.name.substr(0, 5) == "rope_";
      if (vector && tensor.type != GGML_TYPE_F32) {
        throw FileError(tensor.position, "tensor \"" + shown(tensor.name) + "\" is stored as " + type_name(tensor) +
                                             "; ggml adds and multiplies F32 only");
      }
      if (!vector && ends_with(tensor.name, ".weight") && !multiplies(tensor.type)) {
        throw FileError(tensor.position, "tensor \"" + shown(tensor.name) + "\" is stored as " + type_name(tensor) +
                                             ", which is no type for weights");
      }
    }
  }

 private:
  const Tensor* tensor(std::string_view name) const {
    const Tensor* found = header_.tensor(name);
    for (const Header& other : others_) found = found ? found : other.tensor(name);
    return found;
  }

  std::string key(const char* suffix) const { return std::string(architecture_) + "." + suffix; }

  [[noreturn]] void bad(const std::string& key, const std::string& problem) const {
    const Value* value = header_.find(key);
    throw FileError(value ? value->position : 0, "metadata key \"" + shown(key) + "\" " + problem);
  }

  void within(const char* suffix, uint32_t least, uint32_t most) const {
    const std::string name = key(suffix);
    const auto value = header_.uint32(name);
    if (value && (*value < least || *value > most)) {
      bad(name,
          "is " + std::to_string(*value) + "; it must be from " + std::to_string(least) + " to " + std::to_string(most));
    }
  }

  /** One number for all layers, or an array with one for each. Empty when the key is absent. */
  std::vector<uint32_t> per_layer(const char* suffix) const {
    const std::string name = key(suffix);
    const Value* value = header_.find(name);
    if (!value) return {};
    if (!value->is_array) return std::vector<uint32_t>(layers_, *header_.uint32(name));
    if (value->type != Type::kUint32 && value->type != Type::kInt32) bad(name, "is not an array of uint32 or int32");
    if (value->count != layers_) {
      bad(name, "has " + std::to_string(value->count) + " elements, and there are " + std::to_string(layers_) + " layers");
    }
    std::vector<uint32_t> numbers(value->count);
    std::memcpy(numbers.data(), value->bytes.data(), value->bytes.size());
    for (const uint32_t number : numbers) {
      if (number > kMostWidth)
        bad(name, "holds " + std::to_string(number) + "; " + std::to_string(kMostWidth) + " is the most");
    }
    return numbers;
  }

  void sizes() {
    if (architecture_.empty()) throw FileError(0, "metadata key \"general.architecture\" is missing or empty");
    const auto layers = header_.uint32(key("block_count"));
    if (!layers) throw FileError(0, "metadata key \"" + shown(key("block_count")) + "\" is missing");
    within("block_count", 1, kMostLayers);
    layers_ = *layers;
    within("nextn_predict_layers", 0, layers_);
    within("context_length", 1, kMostContext);
    within("embedding_length", 1, kMostWidth);
    within("embedding_length_out", 1, kMostWidth);
    within("attention.sliding_window", 0, kMostContext);
    within("rope.scaling.original_context_length", 1, kMostContext);
    within("pooling_type", 0, 4);
    if (const auto type = header_.uint32("general.file_type"); type && *type > kMostFileType) {
      bad("general.file_type", "is " + std::to_string(*type) + "; " + std::to_string(kMostFileType) + " is the most");
    }
    width_ = header_.uint32(key("embedding_length")).value_or(0);
    for (const uint32_t length : per_layer("feed_forward_length")) {
      if (length > kMostWidth)
        bad(key("feed_forward_length"), "is " + std::to_string(length) + ", which is no length of a layer");
    }
  }

  void attention() {
    const std::vector<uint32_t> heads = per_layer("attention.head_count");
    std::vector<uint32_t> kv_heads = per_layer("attention.head_count_kv");
    if (kv_heads.empty()) kv_heads = heads;
    for (size_t i = 0; i < heads.size(); i++) {
      if (heads[i] > kMostWidth) bad(key("attention.head_count"), "is " + std::to_string(heads[i]));
      if (kv_heads[i] > heads[i] || (kv_heads[i] > 0 && heads[i] % kv_heads[i] != 0)) {
        bad(key("attention.head_count_kv"), "gives layer " + std::to_string(i) + " " + std::to_string(kv_heads[i]) +
                                                " heads for keys and values, which do not divide its " +
                                                std::to_string(heads[i]) + " heads");
      }
    }
    if (heads.empty() || heads[0] == 0) {
      if (transformer()) bad(key("attention.head_count"), "is missing or 0");
      return;
    }
    const uint32_t share = width_ / heads[0];
    const uint32_t keys = header_.uint32(key("attention.key_length")).value_or(share);
    const uint32_t values = header_.uint32(key("attention.value_length")).value_or(share);
    const uint32_t rotated = header_.uint32(key("rope.dimension_count")).value_or(keys);
    within("attention.key_length", 1, kMostWidth);
    within("attention.value_length", 1, kMostWidth);
    within("attention.key_length_swa", 1, kMostWidth);
    within("attention.value_length_swa", 1, kMostWidth);
    if (rotated > keys || rotated % 2 != 0) {
      bad(key("rope.dimension_count"), "is " + std::to_string(rotated) + "; it must be even and at most the head's " +
                                           std::to_string(keys) + " dimensions");
    }
    const uint32_t rotated_swa = header_.uint32(key("rope.dimension_count_swa")).value_or(rotated);
    if (rotated_swa > header_.uint32(key("attention.key_length_swa")).value_or(keys) || rotated_swa % 2 != 0) {
      bad(key("rope.dimension_count_swa"), "is " + std::to_string(rotated_swa) + ", more than a head has, or odd");
    }
    if (!transformer()) return;
    if (architecture_ != "gemma2" && keys != values) {
      bad(key("attention.value_length"), "is " + std::to_string(values) + "; " + std::string(architecture_) +
                                             " needs it to be the key length, " + std::to_string(keys));
    }
    if ((architecture_ == "llama" || architecture_ == "qwen2") && rotated != keys) {
      bad(key("rope.dimension_count"), "is " + std::to_string(rotated) + "; " + std::string(architecture_) +
                                           " turns whole heads, of " + std::to_string(keys) + " dimensions");
    }
    for (size_t i = 0; i < heads.size(); i++) {
      if (heads[i] == 0 || kv_heads[i] == 0)
        bad(key("attention.head_count"), "gives layer " + std::to_string(i) + " no heads");
      // llama.cpp takes the first layer's heads for all layers' tensors, and each layer's own for its graph.
      if (heads[i] != heads[0] || kv_heads[i] != kv_heads[0]) {
        bad(key("attention.head_count"),
            "gives layers different numbers of heads, which " + std::string(architecture_) + " cannot have");
      }
      if ((architecture_ == "qwen2" || architecture_ == "phi3") && uint64_t{heads[i]} * keys != width_) {
        bad(key("attention.head_count"), "is " + std::to_string(heads[i]) + "; that many heads of " + std::to_string(keys) +
                                             " dimensions do not make up the width of " + std::to_string(width_));
      }
    }
  }

  /** One of the four architectures whose graphs are known here to the tensor. */
  bool transformer() const {
    return architecture_ == "llama" || architecture_ == "qwen2" || architecture_ == "phi3" || architecture_ == "gemma2";
  }

  void experts() const {
    const uint32_t count = header_.uint32(key("expert_count")).value_or(0);
    const uint32_t groups = header_.uint32(key("expert_group_count")).value_or(0);
    const uint32_t groups_used = header_.uint32(key("expert_group_used_count")).value_or(0);
    const std::vector<uint32_t> used = per_layer("expert_used_count");
    const uint32_t most_used = used.empty() ? 0 : *std::max_element(used.begin(), used.end());
    if (count > kMostExperts)
      bad(key("expert_count"), "is " + std::to_string(count) + "; " + std::to_string(kMostExperts) + " is the most");
    const bool dense_hunyuan = architecture_.substr(0, 7) == "hunyuan" && count <= 1;
    if (dense_hunyuan) return;
    if (most_used > count || (count > 0 && most_used == 0)) {
      bad(key("expert_used_count"),
          "is " + std::to_string(most_used) + ", and there are " + std::to_string(count) + " experts");
    }
    if (groups > 0 &&
        (groups >= count || (groups > 1 && (count % groups != 0 || groups_used == 0 || groups_used >= groups)))) {
      bad(key("expert_group_count"), "is " + std::to_string(groups) + " (" + std::to_string(groups_used) +
                                         " of them used), and " + std::to_string(count) + " experts cannot be grouped so");
    }
  }

  void numbers() const {
    for (const char* suffix :
         {"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon", "attention.group_norm_epsilon"}) {
      const auto value = header_.float32(key(suffix));
      if (value && !(*value >= 0 && std::isfinite(*value)))
        bad(key(suffix), "is " + std::to_string(*value) + "; it must not be negative");
    }
    const auto base = header_.float32(key("rope.freq_base"));
    if (base && !(*base > 0 && std::isfinite(*base)))
      bad(key("rope.freq_base"), "is " + std::to_string(*base) + "; it must be positive");
    for (const char* suffix : {"rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor",
                               "attn_logit_softcapping", "final_logit_softcapping", "attention.scale", "logit_scale"}) {
      const auto value = header_.float32(key(suffix));
      if (value && !std::isfinite(*value)) bad(key(suffix), "is not a finite number");
    }
    const auto scaling = header_.text(key("rope.scaling.type"));
    if (scaling && *scaling != "none" && *scaling != "linear" && *scaling != "yarn" && *scaling != "longrope") {
      bad(key("rope.scaling.type"), "is \"" + shown(*scaling) + "\"; none, linear, yarn and longrope are known");
    }
  }

  /** llama.cpp takes them fused or apart, and does not notice where there are neither. */
  void attention_tensors() const {
    for (uint32_t layer = 0; layer < layers_; layer++) {
      const std::string start = "blk." + std::to_string(layer) + ".attn_";
      const auto has = [&](const char* name) { return tensor(start + name + ".weight") != nullptr; };
      if (has("qkv") || (has("q") && has("k") && has("v"))) continue;
      throw FileError(header_.size(),
                      "tensor \"" + start + "qkv.weight\" is missing from the table of tensors that ends here");
    }
  }

  static const char* type_name(const Tensor& tensor) { return ggml_type_name(static_cast<ggml_type>(tensor.type)); }

  /** Types that ggml has a matrix product for. The others are what products are computed with, or plain integers. */
  static bool multiplies(uint32_t type) {
    switch (type) {
      case GGML_TYPE_Q8_1:
      case GGML_TYPE_Q8_K:
      case GGML_TYPE_I8:
      case GGML_TYPE_I16:
      case GGML_TYPE_I32:
      case GGML_TYPE_I64:
      case GGML_TYPE_F64: return false;
      default: return true;
    }
  }

  void tokenizer() const {
    const auto model = header_.text("tokenizer.ggml.model");
    if (!model) throw FileError(0, "metadata key \"tokenizer.ggml.model\" is missing: the file has no tokenizer");
    const auto pieces = header_.texts("tokenizer.ggml.tokens");
    // Of embedding models; llama.cpp's tokenizer ends the process at the first space of a text.
    if (header_.text("tokenizer.ggml.pre").value_or("") == "whitespace")
      bad("tokenizer.ggml.pre", "is \"whitespace\", which cannot be used");
    if (*model == "no_vocab" || *model == "none")
      throw FileError(0, "the file has no tokenizer (tokenizer.ggml.model is none)");
    if (!pieces || pieces->empty()) throw FileError(0, "metadata key \"tokenizer.ggml.tokens\" is missing or empty");
    if (pieces->size() > INT32_MAX) bad("tokenizer.ggml.tokens", "has more tokens than can be counted");
    unique(*pieces);
    if (const Tensor* embedding = tensor("token_embd.weight"); embedding && embedding->shape[1] != pieces->size()) {
      bad("tokenizer.ggml.tokens", "has " + std::to_string(pieces->size()) + " tokens, and token_embd.weight has rows for " +
                                       std::to_string(embedding->shape[1]));
    }
    byte_tokens(*model, *pieces);
    special_tokens(*model, pieces->size());
    merges();
  }

  void unique(const std::vector<std::string_view>& pieces) const {
    std::unordered_set<std::string_view> seen;
    seen.reserve(pieces.size());
    for (size_t id = 0; id < pieces.size(); id++) {
      // llama.cpp gives a token without text such a name itself.
      const bool reserved = pieces[id].substr(0, 7) == "[EMPTY_";
      if (reserved || (!pieces[id].empty() && !seen.insert(pieces[id]).second)) {
        throw FileError(
            header_.find("tokenizer.ggml.tokens")->position,
            "token " + std::to_string(id) + ", \"" + shown(pieces[id]) + "\", is there twice in tokenizer.ggml.tokens");
      }
    }
  }

  void byte_tokens(std::string_view model, const std::vector<std::string_view>& pieces) const {
    const Value* types = header_.find("tokenizer.ggml.token_type");
    if (!types) return;
    if (!types->is_array || types->type != Type::kInt32 || types->count < pieces.size()) {
      bad("tokenizer.ggml.token_type",
          "must be an array of int32 with one element for each of the " + std::to_string(pieces.size()) + " tokens");
    }
    const bool has_bytes = model == "llama" || model == "gpt2" || model == "gemma4" || model == "t5" || model == "plamo2";
    for (size_t id = 0; id < pieces.size(); id++) {
      int32_t type;
      std::memcpy(&type, types->bytes.data() + id * sizeof type, sizeof type);
      if (type != kByteToken) continue;
      const std::string_view text = pieces[id];
      const bool well_formed = text.size() == 6 && text.substr(0, 3) == "<0x" && text[5] == '>' && std::isxdigit(text[3]) &&
                               std::isxdigit(text[4]);
      if (!has_bytes || !well_formed) {
        throw FileError(types->position + id * sizeof type, "token " + std::to_string(id) + ", \"" + shown(text) +
                                                                "\", is marked as a byte, and byte tokens look like <0x0A>");
      }
    }
  }

  /** llama.cpp asserts that the tokens exist that it is told to add; ids out of range give way to its defaults. */
  void special_tokens(std::string_view model, size_t count) const {
    const bool pieces = model == "llama" || model == "plamo2", words = model == "bert", pairs = model == "gpt2";
    const bool gemma4 = model == "gemma4";  // adds BOS even where add_bos_token is false
    const std::string_view pre = header_.text("tokenizer.ggml.pre").value_or("");
    const bool without_bos = pre == "glm4" || pre == "chatglm-bpe";
    const int64_t kNone = -1;
    must_exist("bos", count,
               pieces                  ? 1
               : words                 ? 101
               : pairs && !without_bos ? 11
                                       : kNone,
               pieces || words || (pairs && !without_bos) || gemma4, gemma4);
    must_exist("eos", count, pieces ? 2 : pairs ? 11 : model == "t5" ? 1 : kNone, model == "t5" || pairs);
    header_.uint32("tokenizer.ggml.seperator_token_id");
    if (words && count <= 103) bad("tokenizer.ggml.tokens", "has fewer tokens than a \"bert\" tokenizer's special ones");
  }

  void must_exist(const std::string& name, size_t count, int64_t fallback, bool added, bool always = false) const {
    const auto flag = header_.boolean("tokenizer.ggml.add_" + name + "_token");
    const auto id = header_.uint32("tokenizer.ggml." + name + "_token_id");
    if (!(always || flag.value_or(added)) || (id && *id < count) || (fallback >= 0 && static_cast<size_t>(fallback) < count))
      return;
    bad("tokenizer.ggml." + name + "_token_id", (id ? "is " + std::to_string(*id) : "is missing") + ", and there are " +
                                                    std::to_string(count) +
                                                    " tokens, one of which is to be added to each text");
  }

  void merges() const {
    const Value* value = header_.find("tokenizer.ggml.merges");
    if (value && (!value->is_array || value->type != Type::kString))
      bad("tokenizer.ggml.merges", "is not an array of strings");
  }

  /** What it nests and does is bounded where it is read (core/prompt.h). */
  void chat_template(const Value& value) const {
    if (value.is_array || value.type != Type::kString) return;
    if (value.bytes.size() > kLongestTemplate) {
      throw FileError(value.position, "the chat template has " + std::to_string(value.bytes.size()) + " bytes; " +
                                          std::to_string(kLongestTemplate) + " at most are read");
    }
  }

  const Header& header_;
  const std::vector<Header>& others_;
  std::string_view architecture_;
  uint32_t layers_ = 0;
  uint32_t width_ = 0;
};

}  // namespace

void refuse(const std::string& path, const FileError& error) {
  throw EngineError("BAD_MODEL", "\"" + path + "\" is not a GGUF file that can be loaded: at byte " +
                                     std::to_string(error.position()) + ": " + error.what());
}

void check(const Header& header, const std::vector<Header>& others) { Check(header, others).all(); }

Header read_header(FileMap& file) {
  const uint64_t size = Header::parse(file.bytes().text()).size();
  file.keep(size);
  return Header::parse(file.bytes().text());
}

OtherParts read_other_parts(const std::string& path, const Split& split) {
  OtherParts parts;
  if (split.count == 1) return parts;
  const std::string file = "\"" + path + "\"", label = label_of(split);
  if (split.number > 1) {
    throw EngineError("BAD_MODEL", file + ": " + label + ": open part 1, " + first_part_of(path, split));
  }
  const std::vector<std::string> paths = parts_of(path, split);
  if (paths.empty()) {
    throw EngineError("BAD_MODEL", file + ": " + label +
                                       ", and the others are found by its name: give it back the name that " +
                                       "it was split to, which ends in " + first_ending(split));
  }
  for (size_t i = 1; i < paths.size(); i++) {
    std::shared_ptr<FileMap> map;
    try {
      map = FileMap::open(paths[i]);
    } catch (const EngineError& error) {
      throw EngineError("BAD_MODEL", file + ": " + label + ", and another part cannot be read: " + error.what());
    }
    try {
      parts.headers.push_back(read_header(*map));
      const Split other = split_of(parts.headers.back());
      if (other.number != i + 1 || other.count != split.count) {
        throw FileError(
            0, label_of(other) + ", and its name says part " + std::to_string(i + 1) + " of " + std::to_string(split.count));
      }
      Check::tensor_types(parts.headers.back());
    } catch (const FileError& error) {
      map->check_whole(paths[i]);
      refuse(paths[i], error);
    }
    map->check_whole(paths[i]);
    parts.bytes += map->bytes().size;
    parts.maps.push_back(std::move(map));
  }
  return parts;
}

uint64_t check_file(const std::string& path) {
  const auto file = FileMap::open(path);
  uint64_t bytes = file->bytes().size;
  try {
    const Header header = read_header(*file);
    const OtherParts others = read_other_parts(path, split_of(header));
    check(header, others.headers);
    bytes += others.bytes;
  } catch (const FileError& error) {
    file->check_whole(path);
    refuse(path, error);
  }
  file->check_whole(path);
  return bytes;
}

}  // namespace zse::gguf
