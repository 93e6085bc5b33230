#include "gated.h"

#include "buffer_type.h"
#include "ggml-cpu-impl.h"
#include "ggml-impl.h"
#include "matmul.h"
#include "vec.h"

namespace {

using zse::kernels::InterleavedWeights;

InterleavedWeights::Gate gate_of(const ggml_tensor* node) {
  switch (ggml_get_glu_op(node)) {
    case GGML_GLU_OP_SWIGLU: return ggml_vec_swiglu_f32;
    case GGML_GLU_OP_GEGLU: return ggml_vec_geglu_f32;
    default: return nullptr;
  }
}

// Who multiplies the weights of both products; null where they have nobody in common, or not one plane.
const InterleavedWeights* both_of(const ggml_tensor* a, const ggml_tensor* b) {
  const ggml_tensor *weights = a->src[0], *others = b->src[0];
  if (a->src[1] != b->src[1] || !ggml_are_same_shape(weights, others) || a->ne[2] != 1 || a->ne[3] != 1) return nullptr;
  if (a->src[1]->type != GGML_TYPE_F32) return nullptr;
  const InterleavedWeights* products = zse::kernels::placed(weights);
  return products == zse::kernels::placed(others) ? products : nullptr;
}

}  // namespace

int zse_compute_gated(const ggml_cgraph* graph, int first, const ggml_compute_params* params) {
  constexpr ggml_op kNodes[] = {GGML_OP_MUL_MAT, GGML_OP_MUL_MAT, GGML_OP_GLU};
  constexpr int kCount = 3;
  if (graph->nodes[first]->op != GGML_OP_MUL_MAT || first + kCount > graph->n_nodes) return 0;
  const int last = first + kCount - 1;
  ggml_tensor* result = graph->nodes[last];
  if (result->op != GGML_OP_GLU || !result->src[1]) return 0;
  const ggml_tensor *gate = result->src[0], *from = result->src[1];
  const auto is_product = [&](const ggml_tensor* node) {
    return node == graph->nodes[first] || node == graph->nodes[first + 1];
  };
  if (gate == from || !is_product(gate) || !is_product(from)) return 0;
  if (!ggml_can_fuse_subgraph(graph, first, kCount, kNodes, &last, 1)) return 0;
  const auto by = gate_of(result);
  const InterleavedWeights* products = both_of(gate, from);
  if (!by || !products) return 0;
  products->multiply_gated(params, gate, from, by, result);
  return kCount - 1;
}
