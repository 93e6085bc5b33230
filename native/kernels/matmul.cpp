#include "matmul.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "products_avx2.h"

namespace zse::kernels {

#ifdef ZSE_PRODUCTS

namespace {

template <class T>
T* at(void* base, size_t bytes) {
  return reinterpret_cast<T*>(static_cast<char*>(base) + bytes);
}

size_t row_bytes(const ggml_tensor* activations) { return ggml_row_size(GGML_TYPE_Q8_0, activations->ne[0]); }

size_t activation_bytes(const ggml_tensor* activations) {
  return GGML_PAD(row_bytes(activations) * ggml_nrows(activations), sizeof(int64_t));
}

// Which rows of activations each expert multiplies, in the work buffer behind the activations.
struct Routes {
  struct Route {
    int32_t chosen, token;  // the expert was this one of the token's choices
  };
  int64_t* ends;  // of each expert's routes
  Route* routes;

  Routes(void* work, const ggml_tensor* node)
      : ends(at<int64_t>(work, activation_bytes(node->src[1]))),
        routes(reinterpret_cast<Route*>(ends + node->src[0]->ne[2])) {}

  static size_t bytes(const ggml_tensor* node) {
    return sizeof(int64_t) * node->src[0]->ne[2] + sizeof(Route) * ggml_nelements(node->src[2]);
  }

  int64_t begin(int64_t expert) const { return expert == 0 ? 0 : ends[expert - 1]; }

  // Sorted by expert, so that each one's weights are gone through once.
  void fill(const ggml_tensor* node) const {
    const ggml_tensor* choices = node->src[2];
    const int64_t experts = node->src[0]->ne[2];
    const auto for_each = [choices](auto&& take) {
      for (int32_t token = 0; token < choices->ne[1]; token++)
        for (int32_t chosen = 0; chosen < choices->ne[0]; chosen++)
          take(*at<const int32_t>(choices->data, token * choices->nb[1] + chosen * choices->nb[0]), Route{chosen, token});
    };
    std::fill_n(ends, experts, 0);
    for_each([&](int32_t expert, Route) {
      GGML_ASSERT(expert >= 0 && expert < experts);
      ends[expert]++;
    });
    int64_t sum = 0;
    for (int64_t expert = 0; expert < experts; expert++) {
      const int64_t count = ends[expert];
      ends[expert] = sum;  // where its routes begin, until they are filled in
      sum += count;
    }
    for_each([&](int32_t expert, Route route) { routes[ends[expert]++] = route; });
  }
};

template <class Stored, class Block>
class Products final : public InterleavedWeights {
 public:
  void interleave(ggml_tensor* weights, const void* usual) const override {
    interleave_rows(static_cast<const Stored*>(usual), static_cast<Block*>(weights->data), weights->ne[0] / QK8_0,
                    ggml_nrows(weights));
  }

  bool work_size(int, const ggml_tensor* node, size_t& size) override {
    size = activation_bytes(node->src[1]) + (node->op == GGML_OP_MUL_MAT_ID ? Routes::bytes(node) : 0);
    return true;
  }

  bool compute_forward(ggml_compute_params* params, ggml_tensor* node) override {
    GGML_ASSERT(node->src[1]->type == GGML_TYPE_F32 && node->nb[0] == sizeof(float));
    size_t needed = 0;
    work_size(params->nth, node, needed);
    GGML_ASSERT(params->wsize >= needed);
    if (node->op == GGML_OP_MUL_MAT)
      multiply(params, node);
    else
      multiply_by_experts(params, node);
    return true;
  }

 private:
  // Eight rows of weights lie together: their blocks begin where the first row's would.
  static const Block* weights_at(const ggml_tensor* weights, int64_t row, int64_t expert) {
    return at<const Block>(weights->data, row * weights->nb[1] + expert * weights->nb[2]);
  }

  static void multiply(ggml_compute_params* params, ggml_tensor* node) {
    const ggml_tensor* weights = node->src[0];
    const ggml_tensor* activations = node->src[1];
    GGML_ASSERT(ggml_n_dims(weights) == 2 && activations->ne[3] == 1);
    const int blocks = static_cast<int>(weights->ne[0] / QK8_0);
    const int tokens = static_cast<int>(activations->ne[1]), whole = tokens - tokens % 4;
    const int64_t planes = activations->ne[2];
    const size_t bytes = row_bytes(activations);
    quantize(params, activations, whole);

    // Four pieces for each thread, dealt out one by one, except where memory belongs to processors: there each has its own.
    const int64_t groups = weights->ne[1] / kInterleaved;
    const int64_t pieces = params->nth == 1 ? 1 : std::min<int64_t>(groups, (ggml_is_numa() ? 1 : 4) * params->nth);
    if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
    ggml_barrier(params->threadpool);
    for (int64_t item = params->ith; item < pieces * planes; item = ggml_threadpool_chunk_add(params->threadpool, 1)) {
      const int64_t piece = item % pieces, plane = item / pieces;
      const int64_t first = groups * piece / pieces * kInterleaved, end = groups * (piece + 1) / pieces * kInterleaved;
      const int columns = static_cast<int>(end - first);
      const Block* block = weights_at(weights, first, 0);
      char* from = at<char>(params->wdata, plane * tokens * bytes);
      float* out = at<float>(node->data, plane * node->nb[2]) + first;
      if (whole > 0)
        multiply_rows(blocks, out, node->nb[1] / sizeof(float), block, at<const block_q8_0x4>(from, 0), whole, columns);
      for (int token = whole; token < tokens; token++)
        multiply_row(blocks, at<float>(out, token * node->nb[1]), block, at<const block_q8_0>(from, token * bytes), columns);
    }
  }

  static void multiply_by_experts(ggml_compute_params* params, ggml_tensor* node) {
    const ggml_tensor* weights = node->src[0];
    const ggml_tensor* activations = node->src[1];
    const int blocks = static_cast<int>(weights->ne[0] / QK8_0);
    const size_t bytes = row_bytes(activations);
    const Routes routes(params->wdata, node);
    quantize(params, activations, 0);
    if (params->ith == 0) routes.fill(node);
    ggml_barrier(params->threadpool);

    const int64_t groups = weights->ne[1] / kInterleaved;
    const int64_t first = groups * params->ith / params->nth * kInterleaved;
    const int64_t end = groups * (params->ith + 1) / params->nth * kInterleaved;
    for (int64_t expert = 0; expert < weights->ne[2]; expert++) {
      for (int64_t i = routes.begin(expert); i < routes.ends[expert]; i++) {
        const auto [chosen, token] = routes.routes[i];
        const int64_t row = token * activations->ne[1] + chosen % activations->ne[1];
        multiply_row(blocks, at<float>(node->data, chosen * node->nb[1] + token * node->nb[2]) + first,
                     weights_at(weights, first, expert), at<const block_q8_0>(params->wdata, row * bytes),
                     static_cast<int>(end - first));
      }
    }
  }

  // Into the work buffer: of each plane the first `whole` rows interleaved by fours, the others one by one.
  static void quantize(ggml_compute_params* params, const ggml_tensor* activations, int whole) {
    const ggml_from_float_t quantize_row = ggml_get_type_traits_cpu(GGML_TYPE_Q8_0)->from_float;
    const int64_t columns = activations->ne[0], rows = activations->ne[1];
    const size_t bytes = row_bytes(activations);
    const int64_t items = whole / 4 + rows - whole;  // of a plane: a four or a row
    for (int64_t i = params->ith; i < items * activations->ne[2]; i += params->nth) {
      const int64_t plane = i / items, item = i % items;
      const int64_t row = item < whole / 4 ? item * 4 : item - whole / 4 + whole;
      const float* from = at<const float>(activations->data, plane * activations->nb[2] + row * activations->nb[1]);
      void* to = at<void>(params->wdata, (plane * rows + row) * bytes);
      if (row < whole)
        ggml_quantize_mat_q8_0_4x8(from, to, columns);
      else
        quantize_row(from, to, columns);
    }
  }
};

}  // namespace

InterleavedWeights* interleaved(const ggml_tensor* weights) {
  static Products<block_q4_0, block_q4_0x8> q4_0;
  static Products<block_q4_1, block_q4_1x8> q4_1;
  static Products<block_q8_0, block_q8_0x8> q8_0;
  if (weights->ne[1] % kInterleaved != 0) return nullptr;
  if (weights->type == GGML_TYPE_Q4_0) return &q4_0;
  // Not the output matrix: where it is the embeddings', too, they would be held twice.
  if (weights->ne[1] >= 32000) return nullptr;
  if (weights->type == GGML_TYPE_Q4_1) return &q4_1;
  if (weights->type == GGML_TYPE_Q8_0) return &q8_0;
  return nullptr;
}

#else

InterleavedWeights* interleaved(const ggml_tensor*) { return nullptr; }

#endif

}  // namespace zse::kernels
