// Owns the table of matrix products: for each type of weights and number of rows of activations, billions of multiplications a second of each of the
// CPU backend's buffers that take such weights, in one process: ours (CPU_ZSTREAM), ggml's own, and plain rows (CPU). In the last lines, what the
// processor can do at most: multiplications of bytes by the widest instruction, and reading. `npm run test:ggml -- --bench [threads] [columns rows]`.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

struct Free {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend* backend) const { ggml_backend_free(backend); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<ggml_backend_buffer_type_t> buffers() {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts"));
  std::vector<ggml_backend_buffer_type_t> all;
  for (ggml_backend_buffer_type_t* type = list(device); *type; type++) all.push_back(*type);
  all.push_back(ggml_backend_cpu_buffer_type());
  return all;
}

/** Billions of multiplications a second; 0 where the buffer does not take the weights. Best of several, each as long as a few ms. */
double measure(ggml_backend_buffer_type_t where, ggml_type type, int columns, int rows, int tokens, int threads) {
  // As many matrices as make the nearest cache useless, as in a model.
  const int matrices = tokens <= 16 ? 12 : 2;
  const std::unique_ptr<ggml_context, Free> weight_context(ggml_init({ggml_tensor_overhead() * 64, nullptr, true}));
  const std::unique_ptr<ggml_context, Free> context(
      ggml_init({ggml_tensor_overhead() * 64 + ggml_graph_overhead(), nullptr, true}));
  std::vector<ggml_tensor*> weights;
  for (int i = 0; i < matrices; i++) weights.push_back(ggml_new_tensor_2d(weight_context.get(), type, columns, rows));
  ggml_tensor* activations = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, tokens);
  std::vector<ggml_tensor*> products;
  for (ggml_tensor* matrix : weights) products.push_back(ggml_mul_mat(context.get(), matrix, activations));

  const std::unique_ptr<ggml_backend_buffer, Free> empty(ggml_backend_buft_alloc_buffer(where, 0));
  weights[0]->buffer = empty.get();
  const bool taken = ggml_backend_dev_supports_op(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), products[0]);
  weights[0]->buffer = nullptr;
  if (!taken) return 0;

  const std::unique_ptr<ggml_backend, Free> backend(ggml_backend_cpu_init());
  ggml_backend_cpu_set_n_threads(backend.get(), threads);
  const std::unique_ptr<ggml_backend_buffer, Free> weight_buffer(
      ggml_backend_alloc_ctx_tensors_from_buft(weight_context.get(), where));
  const std::unique_ptr<ggml_backend_buffer, Free> buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<size_t>(columns) * std::max(rows, tokens));
  for (float& number : numbers) number = normal(random);
  std::vector<uint8_t> stored(ggml_nbytes(weights[0]));
  ggml_quantize_chunk(type, numbers.data(), stored.data(), 0, rows, columns, nullptr);
  for (ggml_tensor* matrix : weights) ggml_backend_tensor_set(matrix, stored.data(), 0, stored.size());
  ggml_backend_tensor_set(activations, numbers.data(), 0, ggml_nbytes(activations));
  ggml_cgraph* graph = ggml_new_graph(context.get());
  for (ggml_tensor* product : products) ggml_build_forward_expand(graph, product);

  double best = 1e9;
  const double end = now() + 0.25;
  for (int i = 0; i < 3 || now() < end; i++) {
    const double begun = now();
    ggml_backend_graph_compute(backend.get(), graph);
    best = std::min(best, now() - begun);
  }
  return 1e-9 * matrices * static_cast<double>(columns) * rows * tokens / best;
}

/** The best of several runs of `work` on all threads at once, in its own unit a second. */
template <class Work>
double limit(int threads, Work work) {
  double best = 0;
  for (int i = 0; i < 5; i++) {
    std::vector<std::thread> all;
    std::vector<double> done(threads);
    const double begun = now();
    for (int t = 0; t < threads; t++) all.emplace_back([&, t] { done[t] = work(); });
    for (std::thread& thread : all) thread.join();
    double sum = 0;
    for (double one : done) sum += one;
    best = std::max(best, sum / (now() - begun));
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

}  // namespace

int main(int count, char** args) {
  const int threads = count > 1 ? std::atoi(args[1]) : 2;
  const int columns = count > 2 ? std::atoi(args[2]) : 1536, rows = count > 3 ? std::atoi(args[3]) : 8960;
  const std::string only = count > 4 ? args[4] : "";
  ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  ggml_backend_load_all();
  const std::vector<int> numbers = {1, 4, 8, 16, 64, 512};
  std::printf("%d columns, %d rows of weights, %d threads; billions of multiplications a second\n%-8s%-14s", columns, rows, threads,
              "type", "buffer");
  for (int tokens : numbers) std::printf("%8d", tokens);
  std::printf("\n");
  for (ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K}) {
    if (!only.empty() && only.find(ggml_type_name(type)) == std::string::npos) continue;
    for (ggml_backend_buffer_type_t where : buffers()) {
      std::string line;
      for (int tokens : numbers) {
        const double speed = measure(where, type, columns, rows, tokens, threads);
        if (speed == 0) break;
        char text[32];
        std::snprintf(text, sizeof(text), "%8.1f", speed);
        line += text;
      }
      if (line.empty()) continue;
      std::printf("%-8s%-14s%s\n", ggml_type_name(type), ggml_backend_buft_name(where), line.c_str());
      std::fflush(stdout);
    }
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
