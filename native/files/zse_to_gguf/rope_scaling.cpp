#include "rope_scaling.h"

#include <algorithm>
#include <cmath>

#include "base/refuse.h"

namespace zse {

namespace {

constexpr double kBetaFast = 32, kBetaSlow = 1;  // of YaRN's paper; llama.cpp reads others for other architectures only
constexpr double kOriginalContextOfPhi3 = 4096;

/** What YaRN multiplies cosine and sine with where nothing else is said. */
double yarn_attention(double factor, double mscale = 1) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; }

class Scaler {
 public:
  Scaler(const ModelConfig& config, const RopeScaling& scaling, const std::string& gguf, uint64_t offset, GgufPlan& plan)
      : config_(config), scaling_(scaling), gguf_(gguf), offset_(offset), plan_(plan) {}

  void add() {
    const std::string& type = scaling_.type;
    const bool is_llama = gguf_ == "llama", is_phi3 = gguf_ == "phi3", is_qwen2 = gguf_ == "qwen2";
    if (type.empty() || type == "default") return;
    if (type == "dynamic" && !is_phi3) {
      plan_.notes.push_back("rope_scaling \"dynamic\" is not applied: texts beyond the trained context are not scaled");
    } else if (type == "linear" && (is_llama || is_qwen2)) {
      set_text("type", "linear");
      set_number("factor", positive("factor", scaling_.factor));
    } else if (type == "yarn" && (is_llama || is_qwen2)) {
      add_yarn();
    } else if (type == "llama3" && is_llama) {
      add_llama3();
    } else if ((type == "longrope" || type == "su") && (is_llama || is_phi3)) {
      add_longrope();
    } else {
      unsupported("its rope_scaling is of the type \"" + type + "\", and of " + config_.arch + " models those " +
                  (is_llama   ? "with linear, yarn, llama3 or longrope (su)"
                   : is_qwen2 ? "with linear or yarn"
                   : is_phi3  ? "with longrope (su)"
                              : "without one") +
                  " can be run");
    }
  }

 private:
  void add_yarn() {
    if (scaling_.truncate == false) cannot_have("\"truncate\": false");
    if (scaling_.beta_fast.value_or(kBetaFast) != kBetaFast) cannot_have("another beta_fast than 32");
    if (scaling_.beta_slow.value_or(kBetaSlow) != kBetaSlow) cannot_have("another beta_slow than 1");
    const double factor = positive("factor", scaling_.factor);
    const double original = scaling_.original_max_position_embeddings.value_or(static_cast<double>(config_.max_seq_len));
    double attention = yarn_attention(factor);
    if (scaling_.attention_factor) {
      attention = positive("attention_factor", scaling_.attention_factor);
    } else if (scaling_.mscale.value_or(0) != 0 && scaling_.mscale_all_dim.value_or(0) != 0) {
      attention = yarn_attention(factor, positive("mscale", scaling_.mscale)) /
                  yarn_attention(factor, positive("mscale_all_dim", scaling_.mscale_all_dim));
    }
    set_text("type", "yarn");
    set_number("factor", factor);
    set_original(positive("original_max_position_embeddings", original));
    // llama.cpp multiplies with the usual one by itself.
    if (attention != yarn_attention(factor)) set_number("attn_factor", attention / yarn_attention(factor));
  }

  /** Wavelengths that the original context holds often are kept, those longer than it are stretched by `factor`, smoothly between. */
  void add_llama3() {
    const double factor = positive("factor", scaling_.factor);
    const double low = positive("low_freq_factor", scaling_.low_freq_factor);
    const double high = positive("high_freq_factor", scaling_.high_freq_factor);
    const double original = positive("original_max_position_embeddings", scaling_.original_max_position_embeddings);
    if (high <= low) refuse(offset_, "rope_scaling's high_freq_factor is not above its low_freq_factor");
    std::vector<float> divisors;
    for (int64_t i = 0; i < config_.head_dim / 2; i++) {
      const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(config_.head_dim);
      const double wavelength = 2.0 * 3.14159265358979323846 * std::pow(config_.rope_theta, exponent);
      const double smooth = (original / wavelength - low) / (high - low);
      double divisor = 1.0 / ((1.0 - smooth) / factor + smooth);
      if (wavelength < original / high)
        divisor = 1.0;
      else if (wavelength > original / low)
        divisor = factor;
      divisors.push_back(static_cast<float>(divisor));
    }
    add_values("rope_freqs.weight", std::move(divisors));
  }

  void add_longrope() {
    double original = kOriginalContextOfPhi3;
    if (scaling_.original_max_position_embeddings)
      original = *scaling_.original_max_position_embeddings;
    else if (config_.original_max_position_embeddings)
      original = static_cast<double>(*config_.original_max_position_embeddings);
    else
      plan_.notes.push_back("the file does not say for how long a context the model was trained at first; 4096 is a guess");
    if (!(original > 1 && original < 1e9))
      refuse(offset_, "rope_scaling's original_max_position_embeddings must be above 1");
    const double ratio = static_cast<double>(config_.max_seq_len) / original;
    double attention = ratio <= 1 ? 1.0 : std::sqrt(1 + std::log(ratio) / std::log(original));
    if (scaling_.attention_factor) attention = positive("attention_factor", scaling_.attention_factor);
    set_text("type", "longrope");
    set_original(original);
    set_number("attn_factor", attention);
    const int64_t rotated = rotated_elements(config_, offset_);
    if (rotated != config_.head_dim && !config_.partial_rotary_factor) {
      plan_.notes.push_back("by the number of its rope factors, " + std::to_string(rotated) + " of a head's " +
                            std::to_string(config_.head_dim) + " elements are rotated");
    }
    const auto factors = [&](const char* name, const std::vector<double>& given, const char* tensor) {
      if (static_cast<int64_t>(given.size()) != rotated / 2) {
        refuse(offset_, "rope_scaling's " + std::string(name) + " has " + std::to_string(given.size()) +
                            " numbers; half of the rotated elements of a head, " + std::to_string(rotated / 2) +
                            ", are needed");
      }
      for (const double factor : given) {
        if (!(factor > 0 && factor < 1e9))
          refuse(offset_, "rope_scaling's " + std::string(name) + " holds " + std::to_string(factor));
      }
      add_values(tensor, std::vector<float>(given.begin(), given.end()));
    };
    factors("long_factor", scaling_.long_factor, "rope_factors_long.weight");
    factors("short_factor", scaling_.short_factor, "rope_factors_short.weight");
  }

  [[noreturn]] void cannot_have(const char* what) const {
    unsupported(std::string("its rope_scaling has ") + what + ", which llama.cpp does not apply to such models");
  }

  double positive(const char* name, const std::optional<double>& value) const {
    if (value && *value > 0 && *value < 1e9) return *value;
    refuse(offset_, "rope_scaling of the type \"" + scaling_.type + "\" needs a positive \"" + name + "\"");
  }

  void set(const char* name, GgufValue value) {
    plan_.metadata.push_back({gguf_ + ".rope.scaling." + name, std::move(value)});
  }
  void set_text(const char* name, const char* text) { set(name, std::string(text)); }
  void set_number(const char* name, double number) { set(name, static_cast<float>(number)); }
  void set_original(double positions) { set("original_context_length", static_cast<uint32_t>(positions)); }

  void add_values(const char* name, std::vector<float> values) {
    GgufTensor made;
    made.name = name;
    made.columns = static_cast<int64_t>(values.size());
    made.vector = true;
    made.values = std::move(values);
    plan_.tensors.push_back(std::move(made));
  }

  const ModelConfig& config_;
  const RopeScaling& scaling_;
  const std::string& gguf_;
  uint64_t offset_;
  GgufPlan& plan_;
};

}  // namespace

void add_rope_scaling(const ModelConfig& config, const std::string& gguf, uint64_t offset, GgufPlan& plan) {
  if (config.rope_scaling) Scaler(config, *config.rope_scaling, gguf, offset, plan).add();
}

int64_t rotated_elements(const ModelConfig& config, uint64_t offset) {
  const auto whole = static_cast<double>(config.head_dim);
  int64_t rotated = config.head_dim;
  if (config.partial_rotary_factor) {
    const double part = *config.partial_rotary_factor;
    if (!(part > 0 && part <= 1))
      refuse(offset, "partial_rotary_factor is " + std::to_string(part) + "; it must be above 0, and 1 at most");
    rotated = static_cast<int64_t>(whole * part);
  } else if (config.arch == "phi3" && config.rope_scaling && !config.rope_scaling->long_factor.empty()) {
    // Generation 2 has no field for it.
    rotated = std::min(rotated, 2 * static_cast<int64_t>(config.rope_scaling->long_factor.size()));
  }
  if (rotated < 2 || rotated % 2 != 0) {
    refuse(offset, std::to_string(rotated) + " elements of a head would be rotated; it must be an even number above zero");
  }
  if (rotated != config.head_dim && config.arch != "phi3")
    unsupported(
        "only a part of each head is rotated (partial_rotary_factor), which of all architectures here only phi3 can have");
  return rotated;
}

}  // namespace zse
