// Owns the table of matrix products: for each type of weights and number of rows of activations, billions of multiplications a second of each of the
// CPU backend's buffers that take such weights, in one process and in turns: ours (CPU_ZSTREAM), ggml's own, and plain rows (CPU). In the last lines, what
// the processor can do at most: multiplications of bytes by the widest instruction, and reading.
// `npm run test:ggml -- --bench [threads] [columns rows] [types, with commas] [experts choices] [rows of activations, with commas]
// [buffers, with commas]`; "" is any type or buffer, 0 experts are none. With experts the weights are a mixture's, of which each
// row of activations is multiplied with some; what counts as a multiplication stays one.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "backend.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

/** The wall clock, in seconds. */
double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/** Time that all threads had of their processors, in seconds: a busy machine lengthens it less than the wall clock's. */
double busy() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/** What is multiplied: matrices, or the weights of experts, of which `choices` are each token's. */
struct Shape {
  ggml_type type;
  int columns, rows, experts, choices;

  ggml_tensor* weights(ggml_context* context) const {
    return experts ? ggml_new_tensor_3d(context, type, columns, rows, experts) : ggml_new_tensor_2d(context, type, columns, rows);
  }

  ggml_tensor* product(ggml_context* context, ggml_tensor* weights, ggml_tensor* activations, ggml_tensor* chosen) const {
    if (!experts) return ggml_mul_mat(context, weights, activations);
    const int64_t tokens = activations->ne[1];
    return ggml_mul_mat_id(context, weights, ggml_reshape_3d(context, activations, columns, 1, tokens), chosen);
  }

  ggml_tensor* chosen(ggml_context* context, int tokens) const {
    return experts ? ggml_new_tensor_2d(context, GGML_TYPE_I32, choices, tokens) : nullptr;
  }
};

/** Products of as many matrices as make caches useless, as in a model, with the same activations; of many rows, which wait less for memory, and of experts two. */
class Products {
 public:
  /** Whether that buffer takes such weights. */
  static bool taken(ggml_backend_buffer_type_t where, const Shape& shape) {
    const ggml_context_ptr context(ggml_init({ggml_tensor_overhead() * 5, nullptr, true}));
    const ggml_backend_buffer_ptr empty(ggml_backend_buft_alloc_buffer(where, 0));
    ggml_tensor* weights = shape.weights(context.get());
    ggml_tensor* product =
        shape.product(context.get(), weights, ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, shape.columns, 512),
                      shape.chosen(context.get(), 512));
    weights->buffer = empty.get();
    return ggml_backend_dev_supports_op(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), product);
  }

  Products(ggml_backend_buffer_type_t where, const Shape& shape, int tokens, int threads) {
    const auto [type, columns, rows, experts, choices] = shape;
    const int matrices = far_apart(shape, tokens);
    multiplications_ = 1e-9 * threads * matrices * static_cast<double>(columns) * rows * tokens * (experts ? choices : 1);
    weight_context_.reset(ggml_init({ggml_tensor_overhead() * kMostMatrices * 2, nullptr, true}));
    context_.reset(ggml_init({ggml_tensor_overhead() * kMostMatrices * 2 + ggml_graph_overhead(), nullptr, true}));
    std::vector<ggml_tensor*> weights;
    for (int i = 0; i < matrices; i++) weights.push_back(shape.weights(weight_context_.get()));
    ggml_tensor* activations = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, columns, tokens);
    ggml_tensor* chosen = shape.chosen(context_.get(), tokens);
    graph_ = ggml_new_graph(context_.get());
    for (ggml_tensor* matrix : weights)
      ggml_build_forward_expand(graph_, shape.product(context_.get(), matrix, activations, chosen));
    backend_.reset(ggml_backend_cpu_init());
    ggml_backend_cpu_set_n_threads(backend_.get(), threads);
    weight_buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(weight_context_.get(), where));
    buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), backend_.get()));

    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    // Some types take long to be rounded to: a few rows are, again and again.
    const int different = std::min(rows, 16);
    std::vector<float> numbers(static_cast<size_t>(columns) * std::max(different, tokens));
    for (float& number : numbers) number = normal(random);
    std::vector<uint8_t> stored(ggml_nbytes(weights[0]));
    const size_t rounded = ggml_quantize_chunk(type, numbers.data(), stored.data(), 0, different, columns, nullptr);
    for (size_t i = rounded; i < stored.size(); i++) stored[i] = stored[i - rounded];
    for (ggml_tensor* matrix : weights) ggml_backend_tensor_set(matrix, stored.data(), 0, stored.size());
    ggml_backend_tensor_set(activations, numbers.data(), 0, ggml_nbytes(activations));
    if (!chosen) return;
    std::vector<int32_t> ids(ggml_nelements(chosen)), all(experts);
    for (int i = 0; i < experts; i++) all[i] = i;
    for (int token = 0; token < tokens; token++) {
      std::shuffle(all.begin(), all.end(), random);
      std::copy_n(all.begin(), choices, &ids[static_cast<size_t>(token) * choices]);
    }
    ggml_backend_tensor_set(chosen, ids.data(), 0, ggml_nbytes(chosen));
  }

  /** Billions of multiplications a second of the threads' time: the median of several runs. */
  double speed() {
    std::sort(speeds_.begin(), speeds_.end());
    return speeds_[speeds_.size() / 2];
  }

  void run() {
    const double begun = busy();
    ggml_backend_graph_compute(backend_.get(), graph_);
    speeds_.push_back(multiplications_ / (busy() - begun));
  }

 private:
  static constexpr int kMostMatrices = 128;

  static int far_apart(const Shape& shape, int tokens) {
    constexpr size_t kBytes = size_t{320} << 20;
    if (tokens > 64 || shape.experts) return 2;
    return static_cast<int>(std::clamp<size_t>(kBytes / (ggml_row_size(shape.type, shape.columns) * shape.rows), 2, kMostMatrices));
  }

  double multiplications_;
  std::vector<double> speeds_;
  ggml_context_ptr weight_context_, context_;
  ggml_backend_ptr backend_;
  ggml_backend_buffer_ptr weight_buffer_, buffer_;
  ggml_cgraph* graph_ = nullptr;
};

/** The best of several runs of `work` on all threads at once, in its own unit a second. */
template <class Work>
double limit(int threads, Work work) {
  double best = 0;
  for (int i = 0; i < 5; i++) {
    std::vector<std::thread> all;
    std::vector<double> done(threads);
    const double begun = busy();
    for (int t = 0; t < threads; t++) all.emplace_back([&, t] { done[t] = work(); });
    for (std::thread& thread : all) thread.join();
    double sum = 0;
    for (double one : done) sum += one;
    best = std::max(best, sum * threads / (busy() - begun));
  }
  return best;
}

volatile int kept;

/** Multiplications of bytes. */
double multiply_bytes() {
  constexpr int rounds = 20'000'000;
#if defined(__AVX512VNNI__)
  __m512i sums[12], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (int i = 0; i < rounds; i++) {
#pragma GCC unroll 12
    for (int k = 0; k < 12; k++) sums[k] = _mm512_dpbusd_epi32(sums[k], a, b);
  }
  int all = 0;
  for (__m512i sum : sums) all += _mm512_reduce_add_epi32(sum);
  kept = all;
  return 64.0 * 12 * rounds;
#else
  return 0 * rounds;
#endif
}

double read_memory() {
  constexpr size_t size = size_t(256) << 20;
  static thread_local std::vector<uint64_t> memory;
  memory.assign(size / 8, 1);
  const double begun = now();
  uint64_t sum = 0;
  for (uint64_t word : memory) sum += word;
  kept = static_cast<int>(sum);
  return size / (now() - begun);
}

/** Whether a list with commas has it; an empty one has all. */
bool is_listed(const std::string& list, const std::string& name) {
  return list.empty() || ("," + list + ",").find("," + name + ",") != std::string::npos;
}

}  // namespace

int main(int count, char** args) {
  const int threads = count > 1 ? std::atoi(args[1]) : 2;
  const int columns = count > 2 ? std::atoi(args[2]) : 1536, rows = count > 3 ? std::atoi(args[3]) : 8960;
  const std::string only = count > 4 ? args[4] : "";
  const int experts = count > 6 ? std::atoi(args[5]) : 0, choices = count > 6 ? std::atoi(args[6]) : 1;
  ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  ggml_backend_load_all();
  const std::string wanted = count > 7 ? args[7] : "1,4,8,16,64,512", only_buffers = count > 8 ? args[8] : "";
  std::vector<int> numbers;
  for (size_t at = 0; at < wanted.size(); at = std::min(wanted.find(',', at), wanted.size() - 1) + 1)
    numbers.push_back(std::atoi(&wanted[at]));
  std::printf("%d columns, %d rows of weights, %d threads; billions of multiplications a second\n%-8s%-14s", columns, rows, threads,
              "type", "buffer");
  for (int tokens : numbers) std::printf("%8d", tokens);
  std::printf("\n");
  for (ggml_type type :
       {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL,
        GGML_TYPE_IQ4_XS, GGML_TYPE_MXFP4, GGML_TYPE_F16, GGML_TYPE_BF16}) {
    if (!is_listed(only, ggml_type_name(type))) continue;
    const Shape shape = {type, columns, rows, experts, choices};
    std::vector<ggml_backend_buffer_type_t> takers;
    for (ggml_backend_buffer_type_t where : buffers())
      if (is_listed(only_buffers, ggml_backend_buft_name(where)) && Products::taken(where, shape)) takers.push_back(where);
    std::vector<std::string> lines(takers.size());
    for (int tokens : numbers) {
      std::vector<std::unique_ptr<Products>> all;
      for (ggml_backend_buffer_type_t where : takers)
        all.push_back(std::make_unique<Products>(where, shape, tokens, threads));
      for (const auto& products : all) products->run();  // once before it counts
      const double end = busy() + 0.3 * static_cast<double>(all.size()) * threads;
      for (int i = 0; i < 5 || busy() < end; i++)
        for (const auto& products : all) products->run();
      for (size_t i = 0; i < all.size(); i++) {
        char text[32];
        std::snprintf(text, sizeof(text), "%8.1f", all[i]->speed());
        lines[i] += text;
      }
    }
    for (size_t i = 0; i < takers.size(); i++)
      std::printf("%-8s%-14s%s\n", ggml_type_name(type), ggml_backend_buft_name(takers[i]), lines[i].c_str());
    std::fflush(stdout);
  }
  const double multiplications = limit(threads, multiply_bytes);
  if (multiplications > 0) std::printf("limit: %.0f billions of multiplications of bytes a second\n", 1e-9 * multiplications);
  double read = 0;
  for (int i = 0; i < 3; i++) {
    std::vector<std::thread> all;
    std::vector<double> done(threads);
    for (int t = 0; t < threads; t++) all.emplace_back([&, t] { done[t] = read_memory(); });
    double sum = 0;
    for (std::thread& thread : all) thread.join();
    for (double one : done) sum += one;
    read = std::max(read, sum);
  }
  std::printf("limit: %.1f GB a second read from memory\n", 1e-9 * read);
}
