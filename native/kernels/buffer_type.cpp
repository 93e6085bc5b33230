#include "buffer_type.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "attention.h"
#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "large_pages.h"
#include "matmul.h"
#include "traits.h"

namespace zse::kernels {

namespace {

bool is_ours(const ggml_tensor* weights) { return weights->buffer && weights->buffer->buft == buffer_type(); }

// Embeddings are taken where they are the output matrix, too, so that they are held once; others stay in the file, whose rows are read as they are
// asked for. llama.cpp says so before there is any memory for them (vendor/patches/0032); afterwards they have their kind of products.
bool gives_rows(const ggml_tensor* node) {
  const ggml_tensor* weights = node->src[0];
  if (!is_ours(weights) || ggml_n_dims(weights) != 2 || node->src[1]->type != GGML_TYPE_I32) return false;
  const bool taken = weights->extra || (weights->flags & GGML_TENSOR_FLAG_OUTPUT);
  return taken && interleaved(weights);
}

// Kernels read whole rows of activations, in three dimensions.
bool reads(const ggml_tensor* activations) {
  if (activations->buffer && !ggml_backend_buft_is_host(activations->buffer->buft)) return false;
  return activations->type == GGML_TYPE_F32 && activations->nb[0] == sizeof(float) && activations->ne[3] == 1;
}

// A view of some rows is weights as a whole tensor is where it begins with rows that lie together.
bool begins_together(const ggml_tensor* weights) {
  return weights->view_offs % (weights->nb[1] * InterleavedWeights::kTogether) == 0;
}

class Kernels final : public ggml::cpu::extra_buffer_type {
 public:
  // Asked before a model's weights are put into such a buffer, and about each node that has some.
  bool supports_op(ggml_backend_dev_t, const ggml_tensor* node) override {
    if (node->op == GGML_OP_GET_ROWS) return gives_rows(node);
    const int dimensions = node->op == GGML_OP_MUL_MAT ? 2 : node->op == GGML_OP_MUL_MAT_ID ? 3 : 0;
    if (dimensions == 0 || !is_ours(node->src[0]) || ggml_n_dims(node->src[0]) != dimensions) return false;
    return reads(node->src[1]) && begins_together(node->src[0]) && interleaved(node->src[0]);
  }

  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* node) override {
    if (node->op == GGML_OP_FLASH_ATTN_EXT) return attention();
    const bool has_weights = node->op == GGML_OP_MUL_MAT || node->op == GGML_OP_MUL_MAT_ID || node->op == GGML_OP_GET_ROWS;
    return has_weights ? placed(node->src[0]) : nullptr;
  }
};

ggml_status begin_tensor(ggml_backend_buffer_t, ggml_tensor* tensor) {
  tensor->extra = interleaved(tensor);
  return GGML_STATUS_SUCCESS;
}

/**
 * Calls `work(i)` for each i below `count`, on as many threads as there are processors and pieces. Where the system gives no more threads, on
 * fewer: this one takes part.
 */
template <class Work>
void share_out(int64_t count, const Work& work) {
  constexpr int64_t kMostThreads = 8;  // memory is no quicker with more
  std::atomic<int64_t> next{0};
  const auto take = [&] {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) work(i);
  };
  std::vector<std::thread> others;
  const int64_t threads = std::min({count, kMostThreads, int64_t{std::thread::hardware_concurrency()}});
  try {
    while (static_cast<int64_t>(others.size()) + 1 < threads) others.emplace_back(take);
  } catch (const std::system_error&) {
  }
  take();
  for (std::thread& other : others) other.join();
}

// Most of what opening a model takes is getting this memory and putting rows in order there.
void set_tensor(ggml_backend_buffer_t, ggml_tensor* tensor, const void* data, size_t offset, size_t size) {
  GGML_ASSERT(offset == 0 && size == ggml_nbytes(tensor));  // rows are put in order several at a time
  constexpr int64_t kPiece = 512 << 10;                     // bytes
  const auto* products = static_cast<const InterleavedWeights*>(tensor->extra);
  const int64_t rows = ggml_nrows(tensor), together = InterleavedWeights::kTogether;
  const int64_t per_piece = std::max<int64_t>(kPiece / tensor->nb[1] / together, 1) * together;
  share_out((rows + per_piece - 1) / per_piece, [&](int64_t piece) {
    products->interleave(tensor, data, piece * per_piece, std::min(rows, (piece + 1) * per_piece));
  });
}

void get_tensor(ggml_backend_buffer_t, const ggml_tensor* tensor, void* data, size_t offset, size_t size) {
  GGML_ASSERT(offset == 0 && size == ggml_nbytes(tensor));
  for (int64_t row = 0; row < ggml_nrows(tensor); row++)
    static_cast<InterleavedWeights*>(tensor->extra)->take_out(tensor, row, static_cast<char*>(data) + row * tensor->nb[1]);
}

const char* name(ggml_backend_buffer_type_t) { return "CPU_ZSTREAM"; }

ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
  ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
  if (!buffer) return nullptr;
  want_large_pages(ggml_backend_buffer_get_base(buffer), size);
  buffer->buft = type;
  buffer->iface.init_tensor = begin_tensor;
  buffer->iface.set_tensor = set_tensor;
  buffer->iface.get_tensor = get_tensor;
  buffer->iface.cpy_tensor = nullptr;
  return buffer;
}

size_t alignment(ggml_backend_buffer_type_t) { return ggml_backend_buft_get_alignment(ggml_backend_cpu_buffer_type()); }

}  // namespace

InterleavedWeights* placed(const ggml_tensor* weights) {
  return is_ours(weights) ? static_cast<InterleavedWeights*>(weights->extra) : nullptr;
}

ggml_backend_buffer_type_t buffer_type() {
  // Made when it is first asked for, not when the library is loaded: a processor may be asked whether it has the instructions only then.
  static ggml_backend_buffer_type type = {{name, allocate, alignment, nullptr, nullptr, nullptr},
                                          ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0),
                                          new Kernels()};
  return &type;
}

}  // namespace zse::kernels
