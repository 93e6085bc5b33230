#include "gguf_plan.h"

#include <algorithm>
#include <unordered_set>

#include "base/refuse.h"
#include "gguf_tokenizer.h"
#include "rope_scaling.h"

namespace zse {

namespace {

/** What is the same for all tensors of an architecture. */
struct Architecture {
  const char* arch;    // in the .zse
  const char* gguf;    // general.architecture
  bool rotates_pairs;  // llama.cpp rotates neighbouring rows of q and k, the file has halves
  bool fused;          // q, k and v in one matrix, gate and up in another
  bool needs_qkv_bias;
  bool may_have_bias;  // llama.cpp takes biases of q, k, v, o, gate, up and down where they are
  bool is_gemma;       // four norms in a layer, each stored as its difference from 1; always tied
  bool head_dim_free;  // num_heads * head_dim may differ from hidden_size
};

constexpr Architecture kArchitectures[] = {
    {"llama", "llama", true, false, false, true, false, true},
    {"mistral", "llama", true, false, false, true, false, true},
    {"qwen2", "qwen2", false, false, true, false, false, false},
    {"phi3", "phi3", false, true, false, false, false, false},
    {"gemma2", "gemma2", false, false, false, false, true, true},
};

/** llama.cpp's own limit; it ends the process beyond. */
constexpr int64_t kMostLayers = 512;

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t dimension : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
  return text + "]";
}

class Planner {
 public:
  Planner(const ZseFile& file, const GgufPlanOptions& options) : file_(file), options_(options), config_(file.config()) {
    for (const Architecture& one : kArchitectures) {
      if (config_.arch == one.arch) architecture_ = &one;
    }
    if (!architecture_) {
      unsupported("its architecture is \"" + config_.arch + "\"; llama, mistral, qwen2, phi3 and gemma2 can be run");
    }
    if (config_.num_layers > kMostLayers)
      unsupported("it has " + std::to_string(config_.num_layers) + " layers; 512 can be run");
  }

  GgufPlan make() {
    check_strangers();
    check_activation();
    derive_head_dim();
    add_tensors();
    check_leftovers();
    add_model_metadata();
    add_rope_scaling(config_, architecture_->gguf, config_place(), plan_);
    add_tokenizer();
    return std::move(plan_);
  }

 private:
  template <typename T>
  void set(const std::string& key, T value) {
    plan_.metadata.push_back({key, std::move(value)});
  }
  void set_count(const std::string& key, int64_t value) { set(key, static_cast<uint32_t>(value)); }
  void set_number(const std::string& key, double value) { set(key, static_cast<float>(value)); }
  std::string key(const char* name) const { return std::string(architecture_->gguf) + "." + name; }
  std::string layer(int64_t i, const char* name) const { return "layers." + std::to_string(i) + "." + name; }

  /** Tensors that only other architectures have say what the model really is, better than a missing one would. */
  void check_strangers() {
    static constexpr std::pair<const char*, const char*> kSigns[] = {
        {"self_attn.q_norm.weight", "Qwen3 or Gemma 3"},
        {"self_attn.k_norm.weight", "Qwen3 or Gemma 3"},
        {"self_attn.dense.weight", "Phi-1 or Phi-2"},
        {"mlp.fc1.weight", "Phi-1 or Phi-2"},
        {"mlp.gate.weight", "a mixture of experts"},
        {"router.weight", "a mixture of experts"},
        {"layer_scalar", "Gemma 4"},
    };
    for (const Tensor& tensor : file_.tensors()) {
      for (const auto& [sign, model] : kSigns) {
        if (ends_with(tensor.name, sign)) wrong_label(tensor, model);
      }
      if (tensor.name.find(".experts.") != std::string::npos || tensor.name.find("block_sparse_moe") != std::string::npos) {
        wrong_label(tensor, "a mixture of experts");
      }
      if (tensor.name.rfind("vision", 0) == 0 || tensor.name.rfind("audio", 0) == 0)
        wrong_label(tensor, "a model of more than text");
    }
  }

  void check_activation() const {
    const std::string usual = architecture_->is_gemma ? "gelu_pytorch_tanh" : "silu";
    if (config_.activation.empty() || config_.activation == usual) return;
    unsupported("its activation is \"" + config_.activation + "\", and " + config_.arch + " models can be run with \"" +
                usual + "\" only");
  }

  /** Where in the file a part of it begins, by its name in either generation. */
  uint64_t place_of(const char* section, const char* in_generation_1) const {
    for (const Section& one : file_.sections()) {
      if (one.name == section || one.name == in_generation_1) return one.range.offset;
    }
    return 0;
  }
  uint64_t index_place() const { return place_of("WEIGHT_INDEX", "header"); }
  uint64_t config_place() const { return place_of("CONFIG", "header"); }

  [[noreturn]] void wrong_label(const Tensor& tensor, const std::string& model) const {
    unsupported("it is labelled \"" + config_.arch + "\", but has a tensor \"" + tensor.name + "\", so it is " + model);
  }

  const Tensor& need(const std::string& name) const {
    if (const Tensor* found = file_.find(name)) return *found;
    refuse(index_place(), "tensor \"" + name + "\", which every " + config_.arch + " model has, is missing");
  }

  /** Some files carry the wrong head_dim: the rows of q_proj say what it is. */
  void derive_head_dim() {
    if (architecture_->fused) return;
    const Tensor& q = need(layer(0, "self_attn.q_proj.weight"));
    const Tensor& k = need(layer(0, "self_attn.k_proj.weight"));
    if (q.rows() != config_.num_heads * config_.head_dim && q.rows() % config_.num_heads == 0) {
      const int64_t head_dim = q.rows() / config_.num_heads;
      if (head_dim % 2 == 0 && k.rows() == head_dim * config_.num_kv_heads) {
        plan_.notes.push_back("head_dim is " + std::to_string(head_dim) + " by the shape of q_proj, and " +
                              std::to_string(config_.head_dim) + " by the configuration");
        config_.head_dim = head_dim;
      }
    }
  }

  void add(const std::string& name, const std::string& gguf, const std::vector<int64_t>& shape, bool rotated = false) {
    const Tensor& tensor = need(name);
    used_.insert(&tensor);
    if (tensor.shape != shape) {
      refuse(tensor.entry_offset, "tensor \"" + name + "\" has the shape " + shape_text(tensor.shape) +
                                      ", and by the configuration it is " + shape_text(shape));
    }
    GgufTensor made;
    made.name = gguf;
    made.source = &tensor;
    made.rows = tensor.rows();
    made.columns = tensor.columns();
    made.vector = shape.size() == 1;
    made.rotated_head_dim = rotated && architecture_->rotates_pairs ? config_.head_dim : 0;
    made.add = architecture_->is_gemma && ends_with(name, "norm.weight") ? 1.0f : 0.0f;
    if (!made.vector && !options_.weights_as_f32) {
      const TypeChoice choice = choose_type(tensor);
      made.type = choice.type;
      made.exact = choice.exact;
    }
    plan_.tensors.push_back(std::move(made));
  }

  void add_if_there(const std::string& name, const std::string& gguf, const std::vector<int64_t>& shape,
                    bool rotated = false) {
    if (file_.find(name)) add(name, gguf, shape, rotated);
  }

  void add_tensors() {
    const int64_t width = config_.hidden_size, inner = config_.intermediate_size;
    const int64_t q = config_.num_heads * config_.head_dim, kv = config_.num_kv_heads * config_.head_dim;
    if (q != width && !architecture_->head_dim_free) {
      unsupported("its " + std::to_string(config_.num_heads) + " heads of " + std::to_string(config_.head_dim) +
                  " are not as wide as its hidden size " + std::to_string(width) + ", so it is no " + config_.arch +
                  " model");
    }
    const Tensor& embedding = need("embed_tokens.weight");
    if (embedding.shape.size() == 2 && embedding.rows() != config_.vocab_size) {
      refuse(embedding.entry_offset, "vocab_size is " + std::to_string(config_.vocab_size) + ", and embed_tokens has " +
                                         std::to_string(embedding.rows()) + " rows");
    }
    add("embed_tokens.weight", "token_embd.weight", {config_.vocab_size, width});
    add("norm.weight", "output_norm.weight", {width});
    if (config_.tie_word_embeddings || architecture_->is_gemma) {
      if (const Tensor* head = file_.find("lm_head.weight")) used_.insert(head);  // the same weights once more
    } else if (file_.find("lm_head.weight")) {
      add("lm_head.weight", "output.weight", {config_.vocab_size, width});
    } else {
      refuse(index_place(), "tensor \"lm_head.weight\" is missing, and tie_word_embeddings is false");
    }
    for (int64_t i = 0; i < config_.num_layers; i++) {
      const std::string blk = "blk." + std::to_string(i) + ".";
      const auto put = [&](const char* name, const char* gguf, const std::vector<int64_t>& shape, bool rotated = false) {
        add(layer(i, name), blk + gguf, shape, rotated);
      };
      const auto maybe = [&](const char* name, const char* gguf, const std::vector<int64_t>& shape, bool rotated = false) {
        add_if_there(layer(i, name), blk + gguf, shape, rotated);
      };
      put("input_layernorm.weight", "attn_norm.weight", {width});
      if (architecture_->fused) {
        put("self_attn.qkv_proj.weight", "attn_qkv.weight", {q + 2 * kv, width});
      } else {
        put("self_attn.q_proj.weight", "attn_q.weight", {q, width}, true);
        put("self_attn.k_proj.weight", "attn_k.weight", {kv, width}, true);
        put("self_attn.v_proj.weight", "attn_v.weight", {kv, width});
      }
      if (architecture_->needs_qkv_bias) {
        put("self_attn.q_proj.bias", "attn_q.bias", {q});
        put("self_attn.k_proj.bias", "attn_k.bias", {kv});
        put("self_attn.v_proj.bias", "attn_v.bias", {kv});
      }
      put("self_attn.o_proj.weight", "attn_output.weight", {width, q});
      if (architecture_->is_gemma) {
        put("post_attention_layernorm.weight", "post_attention_norm.weight", {width});
        put("pre_feedforward_layernorm.weight", "ffn_norm.weight", {width});
        put("post_feedforward_layernorm.weight", "post_ffw_norm.weight", {width});
      } else {
        put("post_attention_layernorm.weight", "ffn_norm.weight", {width});
      }
      if (architecture_->fused) {
        put("mlp.gate_up_proj.weight", "ffn_up.weight", {2 * inner, width});
      } else {
        put("mlp.gate_proj.weight", "ffn_gate.weight", {inner, width});
        put("mlp.up_proj.weight", "ffn_up.weight", {inner, width});
      }
      put("mlp.down_proj.weight", "ffn_down.weight", {width, inner});
      if (architecture_->may_have_bias) {
        maybe("self_attn.q_proj.bias", "attn_q.bias", {q}, true);
        maybe("self_attn.k_proj.bias", "attn_k.bias", {kv}, true);
        maybe("self_attn.v_proj.bias", "attn_v.bias", {kv});
        maybe("self_attn.o_proj.bias", "attn_output.bias", {width});
        maybe("mlp.gate_proj.bias", "ffn_gate.bias", {inner});
        maybe("mlp.up_proj.bias", "ffn_up.bias", {inner});
        maybe("mlp.down_proj.bias", "ffn_down.bias", {width});
      }
    }
    const auto rounded =
        std::count_if(plan_.tensors.begin(), plan_.tensors.end(), [](const GgufTensor& tensor) { return !tensor.exact; });
    if (rounded > 0) {
      plan_.notes.push_back(std::to_string(rounded) +
                            " tensors become F16, rounded: their rows or groups are no multiples of 32, which ggml's "
                            "blocks need");
    }
  }

  void check_leftovers() {
    for (const Tensor& tensor : file_.tensors()) {
      if (used_.count(&tensor) || ends_with(tensor.name, "rotary_emb.inv_freq")) continue;
      refuse_leftover(tensor);
    }
  }

  [[noreturn]] void refuse_leftover(const Tensor& tensor) const {
    const bool later = tensor.name.rfind("layers.", 0) == 0 && std::atoll(tensor.name.c_str() + 7) >= config_.num_layers;
    if (later) {
      refuse(tensor.entry_offset, "tensor \"" + tensor.name + "\" is of a layer beyond the " +
                                      std::to_string(config_.num_layers) + " of the configuration");
    }
    unsupported("it is labelled \"" + config_.arch + "\", but has a tensor \"" + tensor.name +
                "\", which such models do not have");
  }

  void add_model_metadata() {
    set("general.architecture", std::string(architecture_->gguf));
    set("general.quantization_version", uint32_t{2});
    set("general.file_type", file_type());
    set_count(key("context_length"), config_.max_seq_len);
    set_count(key("embedding_length"), config_.hidden_size);
    set_count(key("block_count"), config_.num_layers);
    set_count(key("feed_forward_length"), config_.intermediate_size);
    set_count(key("attention.head_count"), config_.num_heads);
    set_count(key("attention.head_count_kv"), config_.num_kv_heads);
    if (config_.num_heads * config_.head_dim != config_.hidden_size || architecture_->is_gemma) {
      set_count(key("attention.key_length"), config_.head_dim);
      set_count(key("attention.value_length"), config_.head_dim);
    }
    set_number(key("attention.layer_norm_rms_epsilon"), config_.rms_norm_eps);
    set_number(key("rope.freq_base"), config_.rope_theta);
    set_count(key("rope.dimension_count"), rotated_elements(config_, config_place()));
    set_count(key("vocab_size"), config_.vocab_size);
    if (architecture_->is_gemma) {
      set_number(key("attn_logit_softcapping"), config_.attn_logit_softcapping.value_or(50.0));
      set_number(key("final_logit_softcapping"), config_.final_logit_softcapping.value_or(30.0));
      check_gemma_scale();
      set_count(key("attention.sliding_window"), config_.sliding_window.value_or(4096));
    }
    if (architecture_->fused) set_count(key("attention.sliding_window"), 0);
    // qwen2's says nothing unless another setting turns it on, which generation 2 does not keep.
    const bool may_have_window = config_.arch != "qwen2" && !architecture_->is_gemma;
    if (may_have_window && config_.sliding_window && *config_.sliding_window < config_.max_seq_len) {
      plan_.notes.push_back("llama.cpp has no sliding window for this architecture: beyond " +
                            std::to_string(*config_.sliding_window) +
                            " tokens the model sees more of the text than it was trained with");
    }
  }

  /** llama.cpp takes the scale of queries from the number of layers, as it is in the three releases. */
  void check_gemma_scale() const {
    const double taken = config_.num_layers == 46 ? static_cast<double>(config_.hidden_size / config_.num_heads)
                                                  : static_cast<double>(config_.head_dim);
    const double wanted = config_.query_pre_attn_scalar.value_or(taken);
    if (wanted == taken) return;
    unsupported("its query_pre_attn_scalar is " + std::to_string(wanted) + ", and only " + std::to_string(taken) +
                " can be run in a gemma2 model of its layers and heads");
  }

  /** llama_ftype of the type that most matrices have; it is shown, nothing depends on it. */
  uint32_t file_type() const {
    int64_t most = 0;
    GgmlType common = GgmlType::kF32;
    for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ8_0}) {
      const auto count = std::count_if(plan_.tensors.begin(), plan_.tensors.end(),
                                       [&](const GgufTensor& tensor) { return !tensor.vector && tensor.type == type; });
      if (count <= most) continue;
      most = count;
      common = type;
    }
    return common == GgmlType::kQ8_0 ? 7 : static_cast<uint32_t>(common);  // the others have one number in both lists
  }

  void add_tokenizer() {
    if (!file_.tokenizer()) {
      if (!options_.without_tokenizer) {
        unsupported("it was converted without a tokenizer; convert it again from a folder that has a tokenizer.json");
      }
      set("tokenizer.ggml.model", std::string("none"));
      return;
    }
    GgufTokenizer made = make_gguf_tokenizer(*file_.tokenizer(), config_.arch, config_.vocab_size,
                                             place_of("TOKENIZER", "tokenizer"), plan_.notes);
    if (config_.arch == "phi3" && made.model == "llama") {
      // llama.cpp knows by this name that this model's control tokens swallow the spaces after them.
      const auto has = [&](const char* text) {
        return std::find(made.tokens.begin(), made.tokens.end(), text) != made.tokens.end();
      };
      if (has("</s>") && has("<unk>") && has("<s>") && has("<|endoftext|>")) set("general.name", std::string("Phi-3"));
    }
    const bool is_sentencepiece = made.model == "llama";
    set("tokenizer.ggml.model", std::move(made.model));
    set("tokenizer.ggml.pre", std::move(made.pre));
    set("tokenizer.ggml.tokens", std::move(made.tokens));
    if (is_sentencepiece) set("tokenizer.ggml.scores", std::move(made.scores));
    std::vector<int32_t> types;
    for (const TokenType type : made.types) types.push_back(static_cast<int32_t>(type));
    set("tokenizer.ggml.token_type", std::move(types));
    if (!is_sentencepiece) set("tokenizer.ggml.merges", std::move(made.merges));
    const auto id = [&](const char* name, int64_t value) {
      if (value >= 0) set_count(name, value);
    };
    id("tokenizer.ggml.bos_token_id", made.bos_id);
    id("tokenizer.ggml.eos_token_id", made.eos_id);
    id("tokenizer.ggml.padding_token_id", made.pad_id);
    id("tokenizer.ggml.unknown_token_id", made.unk_id);
    set("tokenizer.ggml.add_bos_token", made.add_bos);
    if (is_sentencepiece) set("tokenizer.ggml.add_space_prefix", made.add_space_prefix);
    if (made.nfc) set(kNormalizerKey, std::string("NFC"));
    if (!made.chat_template.empty()) set("tokenizer.chat_template", std::move(made.chat_template));
    plan_.nfc = made.nfc;
    keep_metadata();
  }

  /** What the converter kept of a GGUF file comes before what would be guessed. */
  void keep_metadata() {
    static constexpr std::pair<const char*, bool> kKeptKeys[] = {{"general.name", false},
                                                                 {"tokenizer.ggml.pre", false},
                                                                 {"tokenizer.chat_template", false},
                                                                 {"tokenizer.ggml.add_bos_token", true},
                                                                 {"tokenizer.ggml.add_space_prefix", true}};
    for (const auto& [name, value] : config_.gguf_metadata) {
      for (const auto& [kept, is_flag] : kKeptKeys) {
        if (name != kept || std::holds_alternative<bool>(value) != is_flag) continue;
        GgufValue made = is_flag ? GgufValue(std::get<bool>(value)) : GgufValue(std::get<std::string>(value));
        const auto there =
            std::find_if(plan_.metadata.begin(), plan_.metadata.end(), [&](const GgufEntry& e) { return e.key == name; });
        if (there == plan_.metadata.end()) {
          plan_.metadata.push_back({name, std::move(made)});
        } else {
          there->value = std::move(made);
        }
      }
    }
  }

  const ZseFile& file_;
  const GgufPlanOptions& options_;
  ModelConfig config_;
  const Architecture* architecture_ = nullptr;
  std::unordered_set<const Tensor*> used_;
  GgufPlan plan_;
};

}  // namespace

int64_t GgufTensor::source_row(int64_t row) const {
  if (rotated_head_dim == 0) return row;
  const int64_t within = row % rotated_head_dim;
  return row - within + within % 2 * (rotated_head_dim / 2) + within / 2;
}

GgufPlan plan_gguf(const std::shared_ptr<const ZseFile>& file, const GgufPlanOptions& options) {
  return Planner(*file, options).make();
}

}  // namespace zse
