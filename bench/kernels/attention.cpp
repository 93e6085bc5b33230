// Owns the table of attentions: for each shape of heads, type of keys and values and number of query tokens, microseconds of one attention with our
// kernel and with ggml's own, in one process: medians of rounds that alternate between all of them, in time of the processor on one thread.
// `npm run test:ggml -- --bench-attention [cells] [shape] [tokens]`. The caches of all layers together are larger than what a core keeps near, as in a model.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "backend.h"

namespace {

struct Shape {
  const char* name;
  int kv_heads, heads_per_kv, head_size;
};

constexpr int kRounds = 9;
constexpr size_t kBytesInAll = size_t{24} << 20;  // of keys and values

double now() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/** Attentions of several layers over caches of one type, by our kernel or by ggml's. */
class Layers {
 public:
  Layers(const Shape& shape, ggml_type type, int tokens, int cells, bool ours) {
    const size_t row = ggml_row_size(type, shape.head_size) * static_cast<size_t>(shape.kv_heads);
    count_ = std::max(1, static_cast<int>(kBytesInAll / (2 * row * static_cast<size_t>(cells))));
    if (tokens > 1) count_ = std::min(count_, 2);
    context_.reset(ggml_init({ggml_tensor_overhead() * static_cast<size_t>(8 * count_ + 8) +
                                  ggml_graph_overhead_custom(static_cast<size_t>(8 * count_ + 8), false),
                              nullptr, true}));
    ggml_context* c = context_.get();
    const int heads = shape.kv_heads * shape.heads_per_kv;
    ggml_tensor* q = ggml_new_tensor_3d(c, GGML_TYPE_F32, shape.head_size, heads, tokens);
    // A mask for each head is something that ours leaves to ggml, and changes nothing else.
    ggml_tensor* mask = ggml_new_tensor_3d(c, GGML_TYPE_F16, cells, tokens, ours ? 1 : heads);
    graph_ = ggml_new_graph_custom(c, static_cast<size_t>(8 * count_ + 8), false);
    std::vector<ggml_tensor*> caches;
    for (int i = 0; i < count_; i++) {
      ggml_tensor* k = ggml_new_tensor_3d(c, type, shape.head_size, shape.kv_heads, cells);
      ggml_tensor* v = ggml_new_tensor_3d(c, type, shape.head_size, shape.kv_heads, cells);
      caches.insert(caches.end(), {k, v});
      const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_size));
      ggml_build_forward_expand(graph_, ggml_flash_attn_ext(c, ggml_permute(c, q, 0, 2, 1, 3), ggml_permute(c, k, 0, 2, 1, 3),
                                                            ggml_permute(c, v, 0, 2, 1, 3), mask, scale, 0, 0));
    }
    backend_.reset(ggml_backend_cpu_init());
    ggml_backend_cpu_set_n_threads(backend_.get(), 1);
    buffer_.reset(ggml_backend_alloc_ctx_tensors(c, backend_.get()));
    fill(q);
    for (ggml_tensor* cache : caches) fill(cache);
    std::vector<ggml_fp16_t> seen(static_cast<size_t>(ggml_nelements(mask)), ggml_fp32_to_fp16(-INFINITY));
    for (int64_t i = 0; i < ggml_nrows(mask); i++) {
      const int64_t last = cells - tokens + i % tokens;
      std::fill_n(seen.begin() + i * cells, last + 1, ggml_fp32_to_fp16(0));
    }
    ggml_backend_tensor_set(mask, seen.data(), 0, ggml_nbytes(mask));
    ggml_backend_graph_compute(backend_.get(), graph_);
  }

  void measure() {
    const double before = now();
    ggml_backend_graph_compute(backend_.get(), graph_);
    times_.push_back((now() - before) / count_ * 1e6);
  }
  double median() {
    std::sort(times_.begin(), times_.end());
    return times_[times_.size() / 2];
  }

 private:
  static void fill(ggml_tensor* tensor) {
    static std::mt19937_64 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> some(static_cast<size_t>(tensor->ne[0] * 64));
    for (float& number : some) number = normal(random);
    const int64_t rows = ggml_nrows(tensor);
    const size_t row = ggml_row_size(tensor->type, tensor->ne[0]);
    std::vector<uint8_t> bytes(row * 64);
    if (tensor->type == GGML_TYPE_F32) {
      std::copy_n(reinterpret_cast<const uint8_t*>(some.data()), bytes.size(), bytes.data());
    } else {
      ggml_quantize_chunk(tensor->type, some.data(), bytes.data(), 0, 64, tensor->ne[0], nullptr);
    }
    for (int64_t at = 0; at < rows; at += 64) {
      ggml_backend_tensor_set(tensor, bytes.data(), static_cast<size_t>(at) * row,
                              static_cast<size_t>(std::min<int64_t>(64, rows - at)) * row);
    }
  }

  int count_;
  ggml_context_ptr context_;
  ggml_backend_ptr backend_;
  ggml_backend_buffer_ptr buffer_;
  ggml_cgraph* graph_;
  std::vector<double> times_;
};

}  // namespace

int main(int argc, char** argv) {
  const int cells = argc > 1 ? std::atoi(argv[1]) : 4096, only = argc > 2 ? std::atoi(argv[2]) : -1;
  const std::vector<int> counts = argc > 3 ? std::vector<int>{std::atoi(argv[3])} : std::vector<int>{1, 4, 16, 64};
  const Shape shapes[] = {{"2 x 6 of 128 (1.5B)", 2, 6, 128},
                          {"2 x 7 of 64 (0.5B)", 2, 7, 64},
                          {"8 x 4 of 128 (8B)", 8, 4, 128},
                          {"4 x 2 of 32 (demo)", 4, 2, 32},
                          {"8 x 1 of 64", 8, 1, 64}};
  const ggml_type types[] = {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0};
  std::printf("%d cells; microseconds of one attention, ours / ggml's\n", cells);
  std::printf("%-20s %6s %17s %17s %17s\n", "KV heads x heads", "tokens", "f16", "q8_0", "q4_0");
  for (int number = 0; number < static_cast<int>(sizeof shapes / sizeof *shapes); number++) {
    const Shape& shape = shapes[number];
    if (only >= 0 && only != number) continue;
    for (const int tokens : counts) {
      std::vector<std::unique_ptr<Layers>> all;
      for (const ggml_type type : types) {
        for (const bool ours : {true, false}) all.push_back(std::make_unique<Layers>(shape, type, tokens, cells, ours));
      }
      for (int round = 0; round < (tokens > 16 ? 3 : kRounds); round++) {
        for (const auto& one : all) one->measure();
      }
      std::printf("%-20s %6d", shape.name, tokens);
      for (size_t i = 0; i < all.size(); i += 2) std::printf(" %7.0f / %7.0f", all[i]->median(), all[i + 1]->median());
      std::printf("\n");
      std::fflush(stdout);
    }
  }
}
