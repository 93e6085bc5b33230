// Makes small models of random weights whose memory cannot be cut anywhere, with the demo model's vocabulary, for tests of their states.
#pragma once

#include <gguf.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "ggml.h"

namespace zse {

enum class MemoryKind { kHybrid, kRecurrent, kSliding };

/** Writes one to `path`: shapes of LFM2, Mamba or Gemma 3, whose window is of 16 tokens. */
class MemoryModel {
 public:
  MemoryModel(MemoryKind kind, const std::string& path) : gguf_(gguf_init_empty()) {
    ggml_init_params params{size_t{64} << 20, nullptr, false};
    tensors_ = ggml_init(params);
    gguf_init_params reading{true, nullptr};
    gguf_context* demo = gguf_init_from_file(ZSE_DEMO_MODEL, reading);
    REQUIRE(demo != nullptr);
    gguf_set_kv(gguf_, demo);
    gguf_free(demo);
    switch (kind) {
      case MemoryKind::kHybrid: hybrid(); break;
      case MemoryKind::kRecurrent: recurrent(); break;
      case MemoryKind::kSliding: sliding(); break;
    }
    REQUIRE(gguf_write_to_file(gguf_, path.c_str(), false));
  }
  ~MemoryModel() {
    gguf_free(gguf_);
    ggml_free(tensors_);
  }
  MemoryModel(const MemoryModel&) = delete;
  MemoryModel& operator=(const MemoryModel&) = delete;

 private:
  static constexpr int kVocabulary = 1536, kWidth = 64, kHeads = 4, kKvHeads = 2, kHead = kWidth / kHeads, kInner = 128;

  std::string key(const char* name) const { return architecture_ + "." + name; }
  void number(const char* name, uint32_t value) { gguf_set_val_u32(gguf_, key(name).c_str(), value); }

  void begin(const char* architecture, int layers) {
    architecture_ = architecture;
    gguf_set_val_str(gguf_, "general.architecture", architecture);
    number("context_length", 2048);
    number("embedding_length", kWidth);
    number("block_count", static_cast<uint32_t>(layers));
    number("vocab_size", kVocabulary);
    gguf_set_val_f32(gguf_, key("attention.layer_norm_rms_epsilon").c_str(), 1e-5f);
    tensor("token_embd.weight", kWidth, kVocabulary, 0, 0.2f);
  }

  void tensor(const std::string& name, int columns, int rows, float middle, float spread) {
    ggml_tensor* made = rows == 0 ? ggml_new_tensor_1d(tensors_, GGML_TYPE_F32, columns)
                                  : ggml_new_tensor_2d(tensors_, GGML_TYPE_F32, columns, rows);
    ggml_set_name(made, name.c_str());
    std::uniform_real_distribution<float> uniform(middle - spread, middle + spread);
    auto* data = static_cast<float*>(made->data);
    for (int64_t i = 0; i < ggml_nelements(made); i++) data[i] = uniform(random_);
    gguf_add_tensor(gguf_, made);
  }
  void norm(const std::string& name, int size) { tensor(name + ".weight", size, 0, 1, 0.1f); }
  void matrix(const std::string& name, int columns, int rows) {
    tensor(name + ".weight", columns, rows, 0, std::sqrt(3.0f / static_cast<float>(columns)));
  }
  static std::string of(int layer, const char* part) { return "blk." + std::to_string(layer) + "." + part; }

  void attention(int layer) {
    matrix(of(layer, "attn_q"), kWidth, kWidth);
    matrix(of(layer, "attn_k"), kWidth, kHead * kKvHeads);
    matrix(of(layer, "attn_v"), kWidth, kHead * kKvHeads);
    matrix(of(layer, "attn_output"), kWidth, kWidth);
    norm(of(layer, "attn_q_norm"), kHead);
    norm(of(layer, "attn_k_norm"), kHead);
  }
  void feed_forward(int layer) {
    norm(of(layer, "ffn_norm"), kWidth);
    matrix(of(layer, "ffn_gate"), kWidth, kInner);
    matrix(of(layer, "ffn_up"), kWidth, kInner);
    matrix(of(layer, "ffn_down"), kInner, kWidth);
  }

  void hybrid() {
    const std::vector<int32_t> kv_heads = {0, kKvHeads, 0};
    begin("lfm2", 3);
    number("feed_forward_length", kInner);
    number("attention.head_count", kHeads);
    gguf_set_arr_data(gguf_, key("attention.head_count_kv").c_str(), GGUF_TYPE_INT32, kv_heads.data(), kv_heads.size());
    number("shortconv.l_cache", 3);
    gguf_set_val_f32(gguf_, key("rope.freq_base").c_str(), 10000);
    norm("token_embd_norm", kWidth);
    for (int layer = 0; layer < 3; layer++) {
      norm(of(layer, "attn_norm"), kWidth);
      if (kv_heads[static_cast<size_t>(layer)] > 0) {
        attention(layer);
      } else {
        tensor(of(layer, "shortconv.conv.weight"), 3, kWidth, 0, 1);
        matrix(of(layer, "shortconv.in_proj"), kWidth, 3 * kWidth);
        matrix(of(layer, "shortconv.out_proj"), kWidth, kWidth);
      }
      feed_forward(layer);
    }
  }

  void recurrent() {
    constexpr int kWide = 2 * kWidth, kStates = 8, kRank = 4, kConvolved = 4;
    begin("mamba", 2);
    number("feed_forward_length", 0);
    number("attention.head_count", 0);
    number("ssm.conv_kernel", kConvolved);
    number("ssm.inner_size", kWide);
    number("ssm.state_size", kStates);
    number("ssm.time_step_rank", kRank);
    norm("output_norm", kWidth);
    for (int layer = 0; layer < 2; layer++) {
      norm(of(layer, "attn_norm"), kWidth);
      matrix(of(layer, "ssm_in"), kWidth, 2 * kWide);
      tensor(of(layer, "ssm_conv1d.weight"), kConvolved, kWide, 0, 1);
      tensor(of(layer, "ssm_conv1d.bias"), kWide, 0, 0, 0.1f);
      matrix(of(layer, "ssm_x"), kWide, kRank + 2 * kStates);
      matrix(of(layer, "ssm_dt"), kRank, kWide);
      tensor(of(layer, "ssm_dt.bias"), kWide, 0, -4, 1);
      tensor(of(layer, "ssm_a"), kStates, kWide, -1, 0.9f);
      tensor(of(layer, "ssm_d"), kWide, 0, 1, 0.1f);
      matrix(of(layer, "ssm_out"), kWide, kWidth);
    }
  }

  void sliding() {
    constexpr int kLayers = 6;  // the last one sees everything
    begin("gemma3", kLayers);
    number("feed_forward_length", kInner);
    number("attention.head_count", kHeads);
    number("attention.head_count_kv", kKvHeads);
    number("attention.key_length", kHead);
    number("attention.value_length", kHead);
    number("attention.sliding_window", 16);
    gguf_set_val_f32(gguf_, key("rope.freq_base").c_str(), 10000);
    norm("output_norm", kWidth);
    for (int layer = 0; layer < kLayers; layer++) {
      norm(of(layer, "attn_norm"), kWidth);
      attention(layer);
      norm(of(layer, "post_attention_norm"), kWidth);
      feed_forward(layer);
      norm(of(layer, "post_ffw_norm"), kWidth);
    }
  }

  std::mt19937 random_{7};
  std::string architecture_;
  gguf_context* gguf_;
  ggml_context* tensors_;
};

}  // namespace zse
