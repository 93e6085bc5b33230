#include "zse_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "files/zse/transcode.h"
#include "value_writer.h"
#include "zse_tokenizer.h"

namespace zse {

namespace {

constexpr int64_t kGroup = 128, kQ8Group = 32;

[[noreturn]] void unsupported(const std::string& what) { throw EngineError("UNSUPPORTED", what); }

/** A GGUF tensor's name and what it is called in a .zse file; {} for one that is not a tensor there. */
struct Name {
  const char* gguf;
  const char* canonical;
};

constexpr Name kWhole[] = {{"token_embd.weight", "embed_tokens.weight"},
                           {"output_norm.weight", "norm.weight"},
                           {"output.weight", "lm_head.weight"}};

constexpr Name kLayer[] = {
    {"attn_norm.weight", "input_layernorm.weight"}, {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k.weight", "self_attn.k_proj.weight"},   {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_q.bias", "self_attn.q_proj.bias"},       {"attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_v.bias", "self_attn.v_proj.bias"},       {"attn_output.weight", "self_attn.o_proj.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},    {"ffn_norm.weight", "post_attention_layernorm.weight"}};

constexpr Name kPhi3Layer[] = {{"attn_qkv.weight", "self_attn.qkv_proj.weight"},
                               {"ffn_up.weight", "mlp.gate_up_proj.weight"}};

constexpr Name kGemma2Layer[] = {{"post_attention_norm.weight", "post_attention_layernorm.weight"},
                                 {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
                                 {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"}};

bool is(const gguf::Tensor& tensor, GgmlType type) { return tensor.type == static_cast<uint32_t>(type); }

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

/** What the format keeps as float16 whatever was asked for. */
bool stays_float16(const std::string& name) {
  return contains(name, "embed_tokens") || contains(name, "lm_head") || contains(name, "norm") || contains(name, ".bias");
}

/** The parameters of Llama 3's rotation that give these divisors; GGUF has the divisors only. */
struct Llama3Scaling {
  double factor, low, high, original;
};

double llama3_divisor(const Llama3Scaling& scaling, double theta, double head_dim, size_t i) {
  constexpr double kPi = 3.14159265358979323846;  // M_PI is no part of C++, and MinGW leaves it out
  const double wavelength = 2 * kPi * std::pow(theta, 2.0 * static_cast<double>(i) / head_dim);
  if (wavelength < scaling.original / scaling.high) return 1;
  if (wavelength > scaling.original / scaling.low) return scaling.factor;
  const double smooth = (scaling.original / wavelength - scaling.low) / (scaling.high - scaling.low);
  return 1 / ((1 - smooth) / scaling.factor + smooth);
}

class Planner {
 public:
  Planner(const gguf::Header& source, Quant quant)
      : source_(source), quant_(quant), architecture_(source.text("general.architecture").value_or("")) {}

  ZsePlan plan() {
    if (architecture_ != "llama" && architecture_ != "qwen2" && architecture_ != "phi3" && architecture_ != "gemma2") {
      unsupported(
          "a .zse file holds models of llama, mistral, qwen2, phi3 or gemma2; this file's general.architecture is \"" +
          gguf::shown(architecture_) + "\"");
    }
    read_sizes();
    for (const gguf::Tensor& tensor : source_.tensors()) add(tensor);
    // The order of the source's names, as the format's own writer has it: "lm_head" before "model.…", "layers.10" before "layers.2".
    std::sort(plan_.entries.begin(), plan_.entries.end(), [](const ZseEntry& a, const ZseEntry& b) {
      const bool a_last = a.name != "lm_head.weight", b_last = b.name != "lm_head.weight";
      return a_last != b_last ? b_last : a.name < b.name;
    });
    write_config();
    note_float16();
    note_sampling();
    plan_.tokenizer = write_tokenizer(source_, plan_.notes);
    return std::move(plan_);
  }

 private:
  void note_sampling() {
    for (const auto& [name, value] : source_.metadata()) {
      if (name.substr(0, 17) != "general.sampling.") continue;
      plan_.notes.push_back(
          "a .zse file does not keep what the model recommends for sampling (general.sampling.*): give those options with "
          "each call");
      return;
    }
  }

  std::string key(const char* suffix) const { return std::string(architecture_) + "." + suffix; }

  uint32_t needed(const char* suffix) const {
    const auto value = source_.uint32(key(suffix));
    if (!value) throw gguf::FileError(0, "metadata key \"" + key(suffix) + "\" is missing");
    return *value;
  }

  /** One number, or an array that says it for each layer. */
  uint32_t same_in_all_layers(const char* suffix) const {
    const gguf::Value* value = source_.find(key(suffix));
    if (!value || !value->is_array) return needed(suffix);
    if (value->type != gguf::Type::kUint32 && value->type != gguf::Type::kInt32) return needed(suffix);
    uint32_t first = 0;
    for (uint64_t i = 0; i < value->count; i++) {
      uint32_t number;
      std::memcpy(&number, value->bytes.data() + i * sizeof number, sizeof number);
      if (i > 0 && number != first) unsupported("a .zse file cannot say that layers differ in \"" + key(suffix) + "\"");
      first = number;
    }
    return first;
  }

  void read_sizes() {
    layers_ = needed("block_count");
    width_ = needed("embedding_length");
    heads_ = same_in_all_layers("attention.head_count");
    kv_heads_ = source_.find(key("attention.head_count_kv")) ? same_in_all_layers("attention.head_count_kv") : heads_;
    head_dim_ = source_.uint32(key("attention.key_length")).value_or(width_ / heads_);
    theta_ = source_.float32(key("rope.freq_base")).value_or(10000);
  }

  void add(const gguf::Tensor& tensor) {
    const std::string name(tensor.name);
    if (name == "rope_freqs.weight" || name == "rope_factors_long.weight" || name == "rope_factors_short.weight") return;
    ZseEntry entry;
    entry.name = canonical(name);
    entry.source = &tensor;
    for (uint32_t d = std::max(tensor.rank, 1u); d > 0; d--) entry.shape.push_back(tensor.shape[d - 1]);
    if (entry.shape.size() > 2)
      unsupported("tensor \"" + gguf::shown(name) + "\" has " + std::to_string(tensor.rank) + " dimensions");
    if (!stays_float16(entry.name)) entry.quant = quant_;
    if (entry.quant == Quant::kInt8 && is(tensor, GgmlType::kQ8_0)) {
      entry.keeps_blocks = true;
      entry.group_size = kQ8Group;
    }
    if (architecture_ == "llama" && contains(entry.name, "self_attn.q_proj")) entry.head_rows = head_dim_;
    if (architecture_ == "llama" && contains(entry.name, "self_attn.k_proj")) entry.head_rows = head_dim_;
    if (entry.head_rows != 0 && entry.shape[0] % head_dim_ != 0)
      unsupported("tensor \"" + gguf::shown(name) + "\" has no whole heads");
    if (architecture_ == "gemma2" && contains(entry.name, "norm.weight")) entry.subtract = 1;
    plan_.entries.push_back(std::move(entry));
  }

  /** Who asks for a small file wonders at a large one. */
  void note_float16() {
    if (quant_ == Quant::kFp16) return;
    uint64_t before = 0, after = 0;
    for (const ZseEntry& entry : plan_.entries) {
      if (!contains(entry.name, "embed_tokens") && !contains(entry.name, "lm_head")) continue;
      before += entry.source->size;
      after += 2 * entry.source->elements();
    }
    if (after <= before) return;
    const auto mebibytes = [](uint64_t bytes) {
      char text[32];
      std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
      return std::string(text);
    };
    plan_.notes.push_back("a .zse file keeps the embeddings and the output matrix as float16: " + mebibytes(after) +
                          " of them, which are " + mebibytes(before) + " in the GGUF file");
  }

  std::string canonical(const std::string& name) const {
    for (const Name& one : kWhole) {
      if (name == one.gguf) return one.canonical;
    }
    unsigned layer = 0;
    int used = 0;
    if (std::sscanf(name.c_str(), "blk.%9u.%n", &layer, &used) == 1 && used > 0 && layer < layers_) {
      const std::string rest = name.substr(static_cast<size_t>(used));
      const std::string prefix = "layers." + std::to_string(layer) + ".";
      const auto find = [&](const auto& names) -> const char* {
        for (const Name& one : names) {
          if (rest == one.gguf) return one.canonical;
        }
        return nullptr;
      };
      const char* found = nullptr;
      if (architecture_ == "phi3") found = find(kPhi3Layer);
      if (architecture_ == "gemma2") found = find(kGemma2Layer);
      if (!found) found = find(kLayer);
      if (found) return prefix + found;
    }
    unsupported("tensor \"" + gguf::shown(name) + "\" has no place in a .zse file of architecture " +
                std::string(architecture_));
  }

  void write_config() {
    const bool tied = source_.tensor("output.weight") == nullptr;
    const gguf::Tensor* embedding = source_.tensor("token_embd.weight");
    if (!embedding) throw gguf::FileError(0, "tensor \"token_embd.weight\" is missing");
    const uint32_t window = source_.uint32(key("attention.sliding_window")).value_or(0);
    const bool has_window = window > 0 && (architecture_ == "gemma2" || architecture_ == "phi3");
    check_rotated();
    const std::string scaling = rope_scaling();
    std::vector<std::pair<const char*, float>> caps;
    for (const char* name : {"attn_logit_softcapping", "final_logit_softcapping"}) {
      const auto cap = source_.float32(key(name));
      if (cap && architecture_ == "gemma2") caps.emplace_back(name, *cap);
    }
    ValueWriter out;
    out.map(16 + (has_window ? 1 : 0) + (scaling.empty() ? 0 : 1) + caps.size());
    const auto integer = [&](const char* name, uint64_t value) {
      out.text(name);
      out.integer(static_cast<int64_t>(value));
    };
    out.text("arch");
    out.text(architecture_);
    integer("num_layers", layers_);
    integer("num_heads", heads_);
    integer("num_kv_heads", kv_heads_);
    integer("head_dim", head_dim_);
    integer("hidden_size", width_);
    integer("intermediate_size", same_in_all_layers("feed_forward_length"));
    integer("vocab_size", embedding->shape[1]);
    integer("max_seq_len", needed("context_length"));
    out.text("rope_theta");
    out.number(theta_);
    out.text("rms_norm_eps");
    out.number(shortest(source_.float32(key("attention.layer_norm_rms_epsilon")).value_or(1e-5f)));
    if (!scaling.empty()) {
      out.text("rope_scaling");
      out.raw(scaling);
    }
    if (has_window) integer("sliding_window", window);
    for (const auto& [name, cap] : caps) {
      out.text(name);
      out.number(shortest(cap));
    }
    for (const auto& [name, value] :
         {std::pair{"tie_word_embeddings", tied}, {"attention_k_eq_v", false}, {"embed_scale", false}}) {
      out.text(name);
      out.boolean(value);
    }
    write_quant(out);
    write_extras(out);
    plan_.config = out.bytes();
  }

  /** 1e-6 as a float32 is 9.99999997e-07: the number that was meant is the shortest one that rounds to it. */
  static double shortest(float value) {
    for (int digits = 1; digits < 9; digits++) {
      char text[32];
      std::snprintf(text, sizeof text, "%.*g", digits, static_cast<double>(value));
      if (std::strtof(text, nullptr) == value) return std::strtod(text, nullptr);
    }
    return value;
  }

  void write_quant(ValueWriter& out) const {
    const bool kept =
        std::any_of(plan_.entries.begin(), plan_.entries.end(), [](const ZseEntry& entry) { return entry.keeps_blocks; });
    out.text("quant");
    out.map(5);
    const auto integer = [&](const char* name, int64_t value) {
      out.text(name);
      out.integer(value);
    };
    integer("method", quant_ == Quant::kFp16 ? 0 : quant_ == Quant::kInt4 ? 1 : 2);
    integer("bits", quant_ == Quant::kFp16 ? 16 : quant_ == Quant::kInt4 ? 4 : 8);
    integer("group_size", kept ? kQ8Group : kGroup);
    out.text("scale_dtype");
    out.text("float16");
    out.text("tiled_weights");
    out.boolean(false);
  }

  /** What generation 2 has no place for, under a key of its own, which other readers are bound to ignore. */
  void write_extras(ValueWriter& out) const {
    static constexpr const char* kTexts[] = {"general.name", "tokenizer.ggml.pre", "tokenizer.chat_template"};
    static constexpr const char* kFlags[] = {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_space_prefix"};
    ValueWriter extras;
    uint64_t count = 0;
    for (const char* name : kTexts) {
      const auto text = source_.text(name);
      if (!text) continue;
      extras.text(name);
      extras.text(*text);
      count++;
    }
    for (const char* name : kFlags) {
      const auto flag = source_.boolean(name);
      if (!flag) continue;
      extras.text(name);
      extras.boolean(*flag);
      count++;
    }
    out.text("gguf_metadata");
    out.map(count);
    out.raw(extras.bytes());
  }

  /** The Hugging Face `rope_scaling` map that GGUF's keys and tensors came from; empty for none. */
  std::string rope_scaling() {
    ValueWriter values;
    uint64_t count = 0;
    const auto name = [&](const char* key) {
      values.text(key);
      count++;
    };
    const auto number = [&](const char* key, double value) {
      name(key);
      values.number(value);
    };
    const auto setting = [&](const char* key, const char* suffix, double times = 1) {
      if (const auto value = source_.float32(this->key(suffix))) number(key, times == 1 ? shortest(*value) : *value * times);
    };
    const auto type = [&](const char* key, const std::string& value) {
      name(key);
      values.text(value);
    };
    const std::string kind(source_.text(key("rope.scaling.type")).value_or("none"));
    const auto factor = source_.float32(key("rope.scaling.factor"));
    const gguf::Tensor* const longs = source_.tensor("rope_factors_long.weight");
    const gguf::Tensor* const shorts = source_.tensor("rope_factors_short.weight");
    auto original = source_.uint32(key("rope.scaling.original_context_length"));
    if (const gguf::Tensor* divisors = source_.tensor("rope_freqs.weight")) {
      const Llama3Scaling scaling = find_llama3(*divisors);
      type("rope_type", "llama3");
      number("factor", scaling.factor);
      number("low_freq_factor", scaling.low);
      number("high_freq_factor", scaling.high);
      original = static_cast<uint32_t>(scaling.original);
    } else if (longs && shorts) {
      type("type", "longrope");
      for (const auto& [key, tensor] : {std::pair{"long_factor", longs}, {"short_factor", shorts}}) {
        const std::vector<float> divisors = floats(*tensor);
        name(key);
        values.list(divisors.size());
        for (const float value : divisors) values.number(value);
      }
      setting("attention_factor", "rope.scaling.attn_factor");
    } else if ((kind == "linear" || kind == "yarn") && factor && *factor > 0) {
      type("type", kind);
      number("factor", *factor);
      if (kind == "yarn") {
        for (const char* suffix :
             {"rope.scaling.yarn_log_multiplier", "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor"}) {
          if (source_.find(key(suffix))) unsupported("a .zse file cannot hold \"" + key(suffix) + "\"");
        }
        // GGUF's is beside the usual one, Hugging Face's in its place.
        setting("attention_factor", "rope.scaling.attn_factor", *factor <= 1 ? 1 : 0.1 * std::log(*factor) + 1);
      }
    } else {
      return {};
    }
    if (original) {
      name("original_max_position_embeddings");
      values.integer(*original);
    }
    ValueWriter out;
    out.map(count);
    out.raw(values.bytes());
    return out.bytes();
  }

  /** Generation 2 has no field for it; of phi3 the number of rope factors tells. */
  void check_rotated() const {
    const uint32_t rotated = source_.uint32(key("rope.dimension_count")).value_or(head_dim_);
    if (rotated == head_dim_ || (architecture_ == "phi3" && source_.tensor("rope_factors_long.weight"))) return;
    unsupported("a .zse file cannot say that " + std::to_string(rotated) + " of a head's " + std::to_string(head_dim_) +
                " elements are rotated");
  }

  std::vector<float> floats(const gguf::Tensor& tensor) const {
    if (!is(tensor, GgmlType::kF32)) unsupported("tensor \"" + gguf::shown(tensor.name) + "\" is not stored as F32");
    std::vector<float> values(tensor.elements());
    std::memcpy(values.data(), source_.bytes().data() + tensor.offset, values.size() * sizeof(float));
    return values;
  }

  Llama3Scaling find_llama3(const gguf::Tensor& tensor) const {
    const std::vector<float> divisors = floats(tensor);
    const double largest = *std::max_element(divisors.begin(), divisors.end());
    for (double original = 16; original <= 1 << 20; original *= 2) {
      const Llama3Scaling scaling{shortest(static_cast<float>(largest)), 1, 4, original};
      bool fits = true;
      for (size_t i = 0; i < divisors.size() && fits; i++) {
        fits = std::fabs(llama3_divisor(scaling, theta_, head_dim_, i) / divisors[i] - 1) < 1e-4;
      }
      if (fits) return scaling;
    }
    unsupported("the rotation's divisors (rope_freqs.weight) are none of Llama 3's, and a .zse file cannot hold others");
  }

  const gguf::Header& source_;
  Quant quant_;
  std::string_view architecture_;
  ZsePlan plan_;
  uint32_t layers_ = 0, width_ = 0, heads_ = 0, kv_heads_ = 0, head_dim_ = 0;
  double theta_ = 10000;
};

}  // namespace

ZsePlan plan_zse(const gguf::Header& source, Quant quant) { return Planner(source, quant).plan(); }

}  // namespace zse
