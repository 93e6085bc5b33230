// Owns how the tests of products ask for buffers that put weights in order: as llama.cpp does.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml-cpu.h"
#include "ggml.h"

/** `threads`, or fewer where an emulated processor asks for that: threads that wait for each other are slow there. */
inline int at_most(int threads) {
  const char* most = std::getenv("ZSE_TEST_THREADS");
  return most ? std::min(threads, std::max(1, std::atoi(most))) : threads;
}

inline constexpr ggml_type kTypes[] = {GGML_TYPE_Q4_0,  GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1,   GGML_TYPE_Q8_0,
                                       GGML_TYPE_Q4_K,  GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS,
                                       GGML_TYPE_MXFP4, GGML_TYPE_F16,  GGML_TYPE_BF16};

// ggml's kernel for one row reads words wherever they lie, which the processor allows and the sanitizer does not.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kAsksAmx = false;
#else
inline constexpr bool kAsksAmx = true;
#endif

// The CPU backend's buffers that put quantized weights into the order of its kernels, in the order in which llama.cpp asks them.
inline std::vector<ggml_backend_buffer_type_t> reordering_buffers() {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts"));
  std::vector<ggml_backend_buffer_type_t> found;
  for (ggml_backend_buffer_type_t* type = list(device); *type; type++) {
    const std::string name = ggml_backend_buft_name(*type);
    if (name == "CPU_ZSTREAM" || name == "CPU_REPACK" || (name == "AMX" && kAsksAmx)) found.push_back(*type);
  }
  return found;
}

/** Whether that buffer takes such weights, asked as llama.cpp asks: a buffer without any memory, and one product. */
inline bool takes(ggml_backend_buffer_type_t buffers, ggml_type type, int columns, int weight_rows) {
  const ggml_context_ptr context(ggml_init({ggml_tensor_overhead() * 3, nullptr, true}));
  const ggml_backend_buffer_ptr empty(ggml_backend_buft_alloc_buffer(buffers, 0));
  ggml_tensor* weights = ggml_new_tensor_2d(context.get(), type, columns, weight_rows);
  ggml_tensor* product =
      ggml_mul_mat(context.get(), weights, ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, 512));
  weights->buffer = empty.get();
  return ggml_backend_dev_supports_op(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), product);
}

/** Computes a graph of what `result` comes of, which has its memory, and copies its numbers. `context` has room for the graph. */
inline std::vector<float> values_of(ggml_tensor* result, ggml_context* context, ggml_backend_t backend) {
  ggml_cgraph* graph = ggml_new_graph(context);
  ggml_build_forward_expand(graph, result);
  ggml_backend_graph_compute(backend, graph);
  std::vector<float> values(ggml_nelements(result));
  ggml_backend_tensor_get(result, values.data(), 0, ggml_nbytes(result));
  return values;
}

/** The first that takes them; null where all leave them in their usual order. */
inline ggml_backend_buffer_type_t taker(ggml_type type, int columns, int weight_rows) {
  for (ggml_backend_buffer_type_t buffers : reordering_buffers()) {
    if (takes(buffers, type, columns, weight_rows)) return buffers;
  }
  return nullptr;
}

inline bool is_reordered(ggml_type type) { return taker(type, 256, 64) != nullptr; }

inline bool is_ours(ggml_type type) {
  return is_reordered(type) && ggml_backend_buft_name(taker(type, 256, 64)) == std::string("CPU_ZSTREAM");
}
