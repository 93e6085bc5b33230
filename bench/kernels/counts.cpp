// Owns the table of instructions for matrix products on ARM: for each type of weights and number of rows of activations, how many each of the CPU
// backend's buffers executes for a thousand multiplications, rounding of activations included; behind it, those of the vector unit. Times cannot be
// measured under emulation. One thread; runs under qemu with count_instructions.c: `npm run test:ggml -- --arm64 --counts [types, with commas]`.
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "backend.h"

#ifdef __aarch64__
#define MARK() __asm__ volatile("hint #40" ::: "memory")
#else
#define MARK()
#endif

namespace {

constexpr int kColumns = 1536, kRows = 256;

bool taken(ggml_backend_buffer_type_t where, ggml_type type) {
  const ggml_context_ptr context(ggml_init({ggml_tensor_overhead() * 3, nullptr, true}));
  const ggml_backend_buffer_ptr empty(ggml_backend_buft_alloc_buffer(where, 0));
  ggml_tensor* weights = ggml_new_tensor_2d(context.get(), type, kColumns, kRows);
  ggml_tensor* product = ggml_mul_mat(context.get(), weights, ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kColumns, 512));
  weights->buffer = empty.get();
  return ggml_backend_dev_supports_op(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), product);
}

void count(ggml_backend_buffer_type_t where, ggml_type type, int tokens) {
  const ggml_context_ptr weight_context(ggml_init({ggml_tensor_overhead(), nullptr, true}));
  const ggml_context_ptr context(
      ggml_init({ggml_tensor_overhead() * 4 + ggml_graph_overhead(), nullptr, true}));
  ggml_tensor* weights = ggml_new_tensor_2d(weight_context.get(), type, kColumns, kRows);
  ggml_tensor* activations = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kColumns, tokens);
  ggml_cgraph* graph = ggml_new_graph(context.get());
  ggml_build_forward_expand(graph, ggml_mul_mat(context.get(), weights, activations));
  const ggml_backend_ptr backend(ggml_backend_cpu_init());
  ggml_backend_cpu_set_n_threads(backend.get(), 1);
  const ggml_backend_buffer_ptr weight_buffer(
      ggml_backend_alloc_ctx_tensors_from_buft(weight_context.get(), where));
  const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
  std::mt19937 random(1);
  std::vector<uint8_t> stored(ggml_nbytes(weights));
  for (uint8_t& byte : stored) byte = static_cast<uint8_t>(random() & 0x3f);  // no scale is infinite
  ggml_backend_tensor_set(weights, stored.data(), 0, stored.size());
  std::vector<float> numbers(ggml_nelements(activations));
  for (float& number : numbers) number = static_cast<float>(random() % 1000) - 500;
  ggml_backend_tensor_set(activations, numbers.data(), 0, ggml_nbytes(activations));
  ggml_backend_graph_compute(backend.get(), graph);  // once before it counts
  std::printf("setup ");
  std::fflush(stdout);
  MARK();
  ggml_backend_graph_compute(backend.get(), graph);
  std::printf("%s %s %d %d ", ggml_type_name(type), ggml_backend_buft_name(where), tokens, kColumns * kRows * tokens);
  std::fflush(stdout);
  MARK();
}

}  // namespace

int main(int argc, char** args) {
  const std::string only = argc > 1 ? args[1] : "";
  ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  for (ggml_type type :
       {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL,
        GGML_TYPE_IQ4_XS, GGML_TYPE_MXFP4, GGML_TYPE_F16, GGML_TYPE_BF16}) {
    if (!only.empty() && ("," + only + ",").find("," + std::string(ggml_type_name(type)) + ",") == std::string::npos) continue;
    for (ggml_backend_buffer_type_t where : buffers()) {
      if (!taken(where, type)) continue;
      for (int tokens : {1, 2, 4, 8, 16, 64}) count(where, type, tokens);
    }
  }
}
