#include "inspect.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/error.h"
#include "fallback_templates.h"
#include "files/gguf/check.h"
#include "files/gguf/tensor_types.h"
#include "files/zse_to_gguf/gguf_plan.h"
#include "model_kind.h"

namespace zse {

namespace {

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

/** Of a GGUF or a canonical name: both say the same with other words. */
std::string kind_of_tensor(const std::string& name) {
  if (contains(name, "norm")) return "norm";
  if (contains(name, ".bias")) return "bias";
  if (contains(name, "token_embd") || contains(name, "embed_tokens")) return "embedding";
  if (name == "output.weight" || contains(name, "lm_head")) return "output";
  if (contains(name, "attn") || contains(name, "self_attn")) return "attention";
  if (contains(name, "ffn") || contains(name, "mlp")) return "feed-forward";
  return "other";
}

/** Puts tensors of one kind and coding together, in the order of the kinds. */
class WeightGroups {
 public:
  void add(const InspectedWeights& one) {
    static const std::vector<std::string> kOrder = {"embedding", "attention", "feed-forward", "output",
                                                    "norm",      "bias",      "other"};
    const auto order = std::find(kOrder.begin(), kOrder.end(), one.kind) - kOrder.begin();
    InspectedWeights& group = groups_[{order, one.coding, one.group_size, one.layout, one.layout_evidence, one.loads_as}];
    const int tensors = group.tensors;
    const uint64_t parameters = group.parameters, bytes = group.bytes;
    const bool lossless = tensors == 0 || group.lossless;
    group = one;
    group.tensors += tensors;
    group.parameters += parameters;
    group.bytes += bytes;
    group.lossless = group.lossless && lossless;
  }

  std::vector<InspectedWeights> take() {
    std::vector<InspectedWeights> all;
    for (auto& [key, group] : groups_) all.push_back(std::move(group));
    return all;
  }

 private:
  std::map<std::tuple<long, std::string, int64_t, std::string, std::string, std::string>, InspectedWeights> groups_;
};

void choose_template(Inspection& found, const std::string* own, const std::vector<std::string_view>& tokens) {
  if (own && !own->empty()) {
    found.template_source = "file";
    found.template_name = "own";
    found.template_bytes = own->size();
    return;
  }
  found.template_source = "fallback";
  found.template_name = fallback_template_name(
      [&](const char* text) { return std::find(tokens.begin(), tokens.end(), text) != tokens.end(); }, found.architecture);
}

// ---- GGUF ------------------------------------------------------------------------------------------------------------

/** A number that may be given for each layer; then the first layer's. */
uint64_t count(const gguf::Header& header, const std::string& key) {
  const gguf::Value* value = header.find(key);
  if (!value || value->count == 0 || (value->type != gguf::Type::kUint32 && value->type != gguf::Type::kInt32)) return 0;
  return load<uint32_t>(reinterpret_cast<const uint8_t*>(value->bytes.data()));
}

/** What a key says, where it says it as it should: inspecting goes on where opening would not. */
std::string text_of(const gguf::Header& header, const char* key) {
  const gguf::Value* value = header.find(key);
  return value && !value->is_array && value->type == gguf::Type::kString ? std::string(value->bytes.substr(8)) : "";
}

/** The same of a number, in the words that llama.cpp has for it. */
std::string number_or_text(const gguf::Header& header, const char* key) {
  const gguf::Value* value = header.find(key);
  if (!value || value->is_array) return "";
  const auto* bytes = reinterpret_cast<const uint8_t*>(value->bytes.data());
  if (value->type == gguf::Type::kFloat32) return std::to_string(load<float>(bytes));
  if (value->type == gguf::Type::kFloat64) return std::to_string(load<double>(bytes));
  if (value->type == gguf::Type::kInt32) return std::to_string(load<int32_t>(bytes));
  if (value->type == gguf::Type::kUint32) return std::to_string(load<uint32_t>(bytes));
  return text_of(header, key);
}

std::string refusal_of(const gguf::FileError& error) {
  return "at byte " + std::to_string(error.position()) + ": " + error.what();
}

void inspect_gguf(const std::string& path, FileMap& file, Inspection& found) {
  found.format = "gguf";
  std::optional<gguf::FileError> fault;
  const gguf::Header header = gguf::Header::parse_as_far(file.bytes().text(), fault);
  file.keep(header.size());
  if (fault) found.refusal = refusal_of(*fault);
  gguf::OtherParts others;
  try {
    const gguf::Split split = gguf::split_of(header);
    others = gguf::read_other_parts(path, split);
    if (split.count > 1)
      found.notes.push_back("The model is in " + std::to_string(split.count) + " files, which are read together.");
  } catch (const gguf::FileError& error) {
    if (found.refusal.empty()) found.refusal = refusal_of(error);
  } catch (const EngineError& error) {
    if (found.refusal.empty()) found.refusal = error.what();
  }
  found.size += others.bytes;
  found.version = static_cast<int>(header.version());
  found.name = text_of(header, "general.name");
  found.architecture = text_of(header, "general.architecture");
  const std::string prefix = found.architecture + ".";
  found.layers = count(header, prefix + "block_count");
  found.width = count(header, prefix + "embedding_length");
  found.heads = count(header, prefix + "attention.head_count");
  found.kv_heads = count(header, prefix + "attention.head_count_kv");
  if (found.kv_heads == 0) found.kv_heads = found.heads;
  found.head_size = count(header, prefix + "attention.key_length");
  if (found.head_size == 0 && found.heads > 0) found.head_size = found.width / found.heads;
  found.feed_forward = count(header, prefix + "feed_forward_length");
  found.context = count(header, prefix + "context_length");
  found.tied = header.tensor("output.weight") == nullptr;
  for (const gguf::Header& other : others.headers) found.tied = found.tied && other.tensor("output.weight") == nullptr;

  WeightGroups groups;
  if (header.size() > 0) {
    const uint64_t data = std::min<uint64_t>(header.data(), file.bytes().size);
    found.sections = {{"metadata and tensor table", 0, header.size(), {}}, {"weights", data, file.bytes().size - data, {}}};
  }
  const auto add = [&](const gguf::Tensor& tensor) {
    found.parameters += tensor.elements();
    InspectedWeights one;
    one.kind = kind_of_tensor(std::string(tensor.name));
    one.coding = gguf::type_name(tensor.type);
    one.group_size = gguf::block_size(tensor.type) > 1 ? gguf::block_size(tensor.type) : 0;
    one.loads_as = one.coding;
    one.tensors = 1;
    one.parameters = tensor.elements();
    one.bytes = tensor.size;
    groups.add(one);
  };
  for (const gguf::Tensor& tensor : header.tensors()) add(tensor);
  for (size_t i = 0; i < others.headers.size(); i++) {
    for (const gguf::Tensor& tensor : others.headers[i].tensors()) add(tensor);
    const uint64_t data = others.headers[i].data(), size = others.maps[i]->bytes().size;
    found.sections.push_back({"weights of part " + std::to_string(i + 2), data, size - std::min(data, size), {}});
  }
  found.weights = groups.take();

  found.tokenizer = text_of(header, "tokenizer.ggml.model");
  found.pre_tokenizer = text_of(header, "tokenizer.ggml.pre");
  std::vector<std::string_view> tokens;
  if (const gguf::Value* value = header.find("tokenizer.ggml.tokens");
      value && value->is_array && value->type == gguf::Type::kString) {
    tokens = *header.texts("tokenizer.ggml.tokens");
  }
  found.tokens = found.vocabulary = tokens.size();
  if (const gguf::Value* merges = header.find("tokenizer.ggml.merges")) found.merges = merges->count;
  const auto token = [&](const char* key) {
    const gguf::Value* id = header.find(key);
    const uint64_t at = id ? count(header, key) : tokens.size();
    return at < tokens.size() ? std::string(tokens[at]) : "";
  };
  found.bos = token("tokenizer.ggml.bos_token_id");
  found.eos = token("tokenizer.ggml.eos_token_id");
  const gguf::Value* adds = header.find("tokenizer.ggml.add_bos_token");
  found.adds_bos =
      adds && adds->type == gguf::Type::kBool && !adds->is_array ? adds->bytes[0] != 0 : found.tokenizer == "llama";
  found.nfc = text_of(header, kNormalizerKey) == "NFC";
  found.sampling = recommended_sampling([&](const char* key) { return number_or_text(header, key); });
  const std::string own = text_of(header, "tokenizer.chat_template");
  choose_template(found, &own, tokens);
  if (found.tokenizer == "gpt2" && found.pre_tokenizer.empty()) {
    found.notes.push_back(
        "The file names no pre-tokenizer (tokenizer.ggml.pre), so texts are cut in llama.cpp's default way: replies may be "
        "worse.");
  }
  if (!found.refusal.empty()) return;
  try {
    gguf::check(header, others.headers);
  } catch (const gguf::FileError& error) {
    found.refusal = refusal_of(error);
  }
}

// ---- .zse ------------------------------------------------------------------------------------------------------------

template <class Kind>
const Kind* value_of(const GgufPlan& plan, const std::string& key) {
  for (const GgufEntry& entry : plan.metadata) {
    if (entry.key == key) return std::get_if<Kind>(&entry.value);
  }
  return nullptr;
}

InspectedWeights describe(const Tensor& tensor, const GgufTensor* loaded) {
  InspectedWeights one;
  one.kind = kind_of_tensor(tensor.name);
  one.coding = to_string(tensor.coding);
  one.group_size = tensor.group_size;
  if (tensor.coding == Coding::kInt4Flat) {
    one.layout = to_string(tensor.layout);
    one.layout_evidence = to_string(tensor.evidence);
  }
  if (loaded) {
    one.loads_as = to_string(loaded->type);
    one.lossless = loaded->exact;
  }
  one.tensors = 1;
  one.parameters = static_cast<uint64_t>(tensor.elements());
  one.bytes = tensor.data.size + tensor.scales.size + tensor.zeros.size;
  return one;
}

void inspect_plan(const GgufPlan& plan, Inspection& found) {
  found.notes = plan.notes;
  if (const auto* name = value_of<std::string>(plan, "general.name")) found.name = *name;
  if (const auto* model = value_of<std::string>(plan, "tokenizer.ggml.model")) found.tokenizer = *model;
  if (const auto* pre = value_of<std::string>(plan, "tokenizer.ggml.pre")) found.pre_tokenizer = *pre;
  if (const auto* flag = value_of<bool>(plan, "tokenizer.ggml.add_bos_token")) found.adds_bos = *flag;
  found.nfc = plan.nfc;
  std::vector<std::string_view> tokens;
  if (const auto* all = value_of<std::vector<std::string>>(plan, "tokenizer.ggml.tokens"))
    tokens.assign(all->begin(), all->end());
  found.tokens = tokens.size();
  const auto token = [&](const char* key) {
    const auto* id = value_of<uint32_t>(plan, key);
    return id && *id < tokens.size() ? std::string(tokens[*id]) : "";
  };
  found.bos = token("tokenizer.ggml.bos_token_id");
  found.eos = token("tokenizer.ggml.eos_token_id");
  choose_template(found, value_of<std::string>(plan, "tokenizer.chat_template"), tokens);
}

void inspect_zse(const std::string& path, FileKind kind, Inspection& found) {
  found.format = "zse";
  found.version = kind == FileKind::kZse1 ? 1 : 2;
  std::shared_ptr<const ZseFile> file;
  try {
    file = ZseFile::open(path);
  } catch (const EngineError& error) {
    found.refusal = error.what();
    return;
  }
  const ModelConfig& config = file->config();
  found.source_model = file->source_model();
  found.architecture = config.arch;
  found.layers = static_cast<uint64_t>(config.num_layers);
  found.width = static_cast<uint64_t>(config.hidden_size);
  found.heads = static_cast<uint64_t>(config.num_heads);
  found.kv_heads = static_cast<uint64_t>(config.num_kv_heads);
  found.head_size = static_cast<uint64_t>(config.head_dim);
  found.feed_forward = static_cast<uint64_t>(config.intermediate_size);
  found.vocabulary = static_cast<uint64_t>(config.vocab_size);
  found.context = static_cast<uint64_t>(config.max_seq_len);
  found.tied = config.tie_word_embeddings;
  for (const Section& section : file->sections()) {
    found.sections.push_back({section.name, section.range.offset, section.range.size, section.crc32});
  }
  if (file->tokenizer()) found.merges = file->tokenizer()->merges.size();

  std::optional<GgufPlan> plan;
  try {
    plan = plan_gguf(file);
    inspect_plan(*plan, found);
  } catch (const EngineError& error) {
    found.refusal = error.what();
  }
  WeightGroups groups;
  for (const Tensor& tensor : file->tensors()) {
    const GgufTensor* loaded = nullptr;
    if (plan) {
      const auto same = [&](const GgufTensor& one) { return one.source == &tensor; };
      const auto at = std::find_if(plan->tensors.begin(), plan->tensors.end(), same);
      if (at != plan->tensors.end()) loaded = &*at;
    }
    found.parameters += static_cast<uint64_t>(tensor.elements());
    groups.add(describe(tensor, loaded));
  }
  found.weights = groups.take();
}

}  // namespace

Inspection inspect_file(const std::string& path) {
  Inspection found;
  const auto file = FileMap::open(path);
  found.size = file->bytes().size;
  const FileKind kind = kind_of_model(path, file->bytes());
  if (kind == FileKind::kGguf) {
    inspect_gguf(path, *file, found);
  } else {
    inspect_zse(path, kind, found);
  }
  file->check_whole(path);
  return found;
}

}  // namespace zse
