// How our kernels take part in a graph: two products of the same activations, one of them the other's gate, are computed together (native/kernels/gated.h), to the
// same bits as node by node; and a graph that is given up ends within a product.
#include <atomic>
#include <cmath>
#include <cstring>
#include <random>

#include "buffers.h"
#include "check.h"
#include "ggml-alloc.h"

namespace {

struct Shape {
  ggml_type type;
  int columns, weight_rows, tokens, threads;
  ggml_glu_op op;
  bool gate_first;  // among the graph's nodes
};

struct Computed {
  std::vector<float> result, gate, from;
};

std::vector<uint8_t> weights_of(const ggml_tensor* like, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> numbers(ggml_nelements(like));
  for (float& number : numbers) number = normal(random) / 16;
  std::vector<uint8_t> stored(ggml_nbytes(like));
  ggml_quantize_chunk(like->type, numbers.data(), stored.data(), 0, like->ne[1], like->ne[0], nullptr);
  return stored;
}

/** `apart`: the gate's own product is wanted, too, so that every node is computed for itself. */
Computed compute(const Shape& shape, bool apart, uint64_t seed) {
  std::mt19937_64 random(seed);
  ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);  // it tells of every tensor that it reorders
  const ggml_context_ptr weight_context(ggml_init({ggml_tensor_overhead() * 2, nullptr, true}));
  const ggml_context_ptr context(ggml_init({ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true}));
  const ggml_backend_ptr backend(ggml_backend_cpu_init());
  ggml_backend_cpu_set_n_threads(backend.get(), at_most(shape.threads));
  ggml_tensor* weights[2];
  for (ggml_tensor*& one : weights)
    one = ggml_new_tensor_2d(weight_context.get(), shape.type, shape.columns, shape.weight_rows);
  const ggml_backend_buffer_ptr weight_buffer(
      ggml_backend_alloc_ctx_tensors_from_buft(weight_context.get(), taker(shape.type, shape.columns, shape.weight_rows)));
  ggml_tensor* activations = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, shape.columns, shape.tokens);
  ggml_tensor* gate = ggml_mul_mat(context.get(), weights[0], activations);
  ggml_tensor* from = ggml_mul_mat(context.get(), weights[1], activations);
  ggml_tensor* result = ggml_glu_split(context.get(), gate, from, shape.op);
  if (apart) ggml_set_output(gate);
  const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
  for (ggml_tensor* one : weights) {
    const std::vector<uint8_t> stored = weights_of(one, random);
    ggml_backend_tensor_set(one, stored.data(), 0, stored.size());
  }
  std::normal_distribution<float> normal;
  std::vector<float> numbers(ggml_nelements(activations));
  for (float& number : numbers) number = normal(random);
  if (!numbers.empty()) ggml_backend_tensor_set(activations, numbers.data(), 0, ggml_nbytes(activations));

  ggml_cgraph* graph = ggml_new_graph(context.get());
  ggml_build_forward_expand(graph, shape.gate_first ? gate : from);
  ggml_build_forward_expand(graph, result);
  Computed computed;
  const auto each = [&](const auto& of) {
    of(result, computed.result);
    of(gate, computed.gate);
    of(from, computed.from);
  };
  each([](ggml_tensor* one, std::vector<float>&) {  // NaN: what is computed must be written, and nothing else
    if (ggml_nelements(one) > 0) ggml_backend_tensor_memset(one, 0xff, 0, ggml_nbytes(one));
  });
  ggml_backend_graph_compute(backend.get(), graph);
  each([](ggml_tensor* one, std::vector<float>& to) {
    to.resize(ggml_nelements(one));
    if (!to.empty()) ggml_backend_tensor_get(one, to.data(), 0, ggml_nbytes(one));
  });
  return computed;
}

bool none(const std::vector<float>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](float number) { return std::isnan(number); });
}

/** @returns whether both products were computed together */
bool check_shape(const Shape& shape, uint64_t seed) {
  const Computed together = compute(shape, false, seed), apart = compute(shape, true, seed);
  const bool same = together.result.size() == apart.result.size() &&
                    (apart.result.empty() ||
                     std::memcmp(together.result.data(), apart.result.data(), apart.result.size() * sizeof(float)) == 0);
  if (!same || (!apart.result.empty() && none(apart.result))) {
    check::fail(__FILE__, __LINE__,
                std::string(ggml_type_name(shape.type)) + ", " + std::to_string(shape.columns) + " x " +
                    std::to_string(shape.weight_rows) + " weights, " + std::to_string(shape.tokens) + " tokens differ");
  }
  return none(together.gate) && none(together.from);
}

/** A product by all weights, or by those of two experts, whose callback says yes when it is asked for the fourth time. */
void check_given_up(ggml_type type, bool by_experts) {
  constexpr int columns = 256, rows = 512, tokens = 4, experts = 2;
  const ggml_context_ptr weight_context(ggml_init({ggml_tensor_overhead(), nullptr, true}));
  const ggml_context_ptr context(ggml_init({ggml_tensor_overhead() * 5 + ggml_graph_overhead(), nullptr, true}));
  const ggml_backend_ptr backend(ggml_backend_cpu_init());
  ggml_backend_cpu_set_n_threads(backend.get(), at_most(2));
  ggml_tensor* weights = ggml_new_tensor_3d(weight_context.get(), type, columns, rows, by_experts ? experts : 1);
  const ggml_backend_buffer_ptr weight_buffer(
      ggml_backend_alloc_ctx_tensors_from_buft(weight_context.get(), taker(type, columns, rows)));
  ggml_tensor* activations =
      ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, columns, by_experts ? 1 : tokens, by_experts ? tokens : 1);
  ggml_tensor* chosen = ggml_new_tensor_2d(context.get(), GGML_TYPE_I32, 1, tokens);
  ggml_tensor* result = by_experts ? ggml_mul_mat_id(context.get(), weights, activations, chosen)
                                   : ggml_mul_mat(context.get(), weights, activations);
  const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
  const std::vector<uint8_t> zeros(ggml_nbytes(weights));
  ggml_backend_tensor_set(weights, zeros.data(), 0, zeros.size());
  ggml_backend_tensor_memset(activations, 0, 0, ggml_nbytes(activations));
  const int32_t experts_of[tokens] = {0, 1, 0, 1};
  ggml_backend_tensor_set(chosen, experts_of, 0, sizeof(experts_of));
  ggml_backend_tensor_memset(result, 0xff, 0, ggml_nbytes(result));  // NaN
  ggml_cgraph* graph = ggml_new_graph(context.get());
  ggml_build_forward_expand(graph, result);
  std::atomic<int> asked{0};
  ggml_backend_cpu_set_abort_callback(
      backend.get(), [](void* count) { return static_cast<std::atomic<int>*>(count)->fetch_add(1) >= 3; }, &asked);
  CHECK_EQ(ggml_backend_graph_compute(backend.get(), graph), GGML_STATUS_ABORTED);
  std::vector<float> values(ggml_nelements(result));
  ggml_backend_tensor_get(result, values.data(), 0, ggml_nbytes(result));
  const auto missing = std::count_if(values.begin(), values.end(), [](float value) { return std::isnan(value); });
  CHECK(missing > 0);
  CHECK(missing < static_cast<int64_t>(values.size()));
}

}  // namespace

TEST("a gated product has the same bits, whether its products are computed together or one by one (random)") {
  std::mt19937_64 random(check::seed());
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint64_t>(n)); };
  bool any = false;
  for (const ggml_type type : kTypes) {
    if (!is_ours(type)) continue;
    any = true;
    for (const int tokens : {0, 1, 2, 7, 12, 16, 33, 70}) {
      const int columns = 256 * (1 + below(4)), rows = 16 * (1 + below(20));
      const ggml_glu_op op = below(2) ? GGML_GLU_OP_SWIGLU : GGML_GLU_OP_GEGLU;
      const bool together = check_shape({type, columns, rows, tokens, 1 + below(3), op, below(2) == 0}, random());
      CHECK(together);
    }
    // More activations than stay near, perhaps, and long rows.
    check_shape({type, 512, 112, 530, 2, GGML_GLU_OP_SWIGLU, true}, random());
    check_shape({type, 512, 48, 700, 2, GGML_GLU_OP_SWIGLU, true}, random());
    check_shape({type, 512, 48, 565, 2, GGML_GLU_OP_SWIGLU, false}, random());
    check_shape({type, 9216, 32, 50, 2, GGML_GLU_OP_SWIGLU, false}, random());
    check_shape({type, 9216, 32, 230, 2, GGML_GLU_OP_SWIGLU, true}, random());
  }
  if (!any) SKIP("on this processor none of these types is ours");
}

TEST("a product whose graph is given up ends in the middle, and the graph says so") {
  bool any = false;
  for (const ggml_type type : kTypes) {
    if (!is_ours(type)) continue;
    any = true;
    for (const bool by_experts : {false, true}) check_given_up(type, by_experts);
  }
  if (!any) SKIP("on this processor none of these types is ours");
}

TEST("other gates than SwiGLU and GEGLU are computed one by one") {
  for (const ggml_type type : kTypes) {
    if (is_ours(type)) CHECK(!check_shape({type, 256, 32, 3, 2, GGML_GLU_OP_REGLU, true}, check::seed()));
  }
}

TEST("a norm of a row of any length is as doubles have it, alone and times weights (random)") {
  std::mt19937_64 random(check::seed());
  std::normal_distribution<float> normal;
  for (const int columns : {1, 2, 15, 16, 17, 31, 100, 128, 1536, 1543}) {
    constexpr int rows = 3;
    constexpr float kEpsilon = 1e-6f;
    const ggml_context_ptr context(ggml_init({ggml_tensor_overhead() * 5 + ggml_graph_overhead(), nullptr, true}));
    const ggml_backend_ptr backend(ggml_backend_cpu_init());
    ggml_backend_cpu_set_n_threads(backend.get(), at_most(2));
    ggml_tensor* numbers = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, rows);
    ggml_tensor* weights = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, columns);
    ggml_tensor* alone = ggml_rms_norm(context.get(), numbers, kEpsilon);
    ggml_tensor* weighed = ggml_mul(context.get(), ggml_rms_norm(context.get(), numbers, kEpsilon), weights);
    const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
    std::vector<float> of(size_t(columns) * rows), by(columns), result(of.size()), result_weighed(of.size());
    for (float& number : of) number = 3 * normal(random);
    for (float& number : by) number = normal(random);
    ggml_backend_tensor_set(numbers, of.data(), 0, ggml_nbytes(numbers));
    ggml_backend_tensor_set(weights, by.data(), 0, ggml_nbytes(weights));
    ggml_cgraph* graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, alone);
    ggml_build_forward_expand(graph, weighed);
    ggml_backend_graph_compute(backend.get(), graph);
    ggml_backend_tensor_get(alone, result.data(), 0, ggml_nbytes(alone));
    ggml_backend_tensor_get(weighed, result_weighed.data(), 0, ggml_nbytes(weighed));
    for (int row = 0; row < rows; row++) {
      const float* from = &of[size_t(row) * columns];
      double sum = 0;
      for (int i = 0; i < columns; i++) sum += double(from[i]) * from[i];
      const double scale = 1 / std::sqrt(sum / columns + kEpsilon);
      for (int i = 0; i < columns; i++) {
        CHECK(std::abs(result[size_t(row) * columns + i] - from[i] * scale) <= 1e-6 * std::abs(from[i] * scale));
        CHECK(std::abs(result_weighed[size_t(row) * columns + i] - from[i] * scale * by[i]) <=
              1e-6 * std::abs(from[i] * scale * by[i]));
      }
    }
  }
}
