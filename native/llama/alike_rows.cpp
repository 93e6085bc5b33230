#include "alike_rows.h"

#include <cstring>

#include "ggml-backend.h"
#include "ggml.h"

namespace zse {

namespace {

// Weights that our kernels multiply: their buffer takes a type whole or not at all (native/kernels/buffer_type.cpp).
bool is_ours(const ggml_tensor* weights) {
  return weights->buffer && std::strcmp(ggml_backend_buffer_name(weights->buffer), "CPU_ZSTREAM") == 0;
}

}  // namespace

void AlikeRows::install(llama_context_params& params) {
#if defined(__x86_64__) || defined(_M_X64)  // elsewhere attention may be ggml's, and nothing was run
  params.cb_eval_user_data = this;
  params.cb_eval = [](ggml_tensor* node, bool, void* self) {
    static_cast<AlikeRows*>(self)->see(*node);
    return false;  // its data is not wanted
  };
#else
  (void)params;
#endif
}

void AlikeRows::see(const ggml_tensor& node) {
  if (!alike_) return;
  alike_ = is_alike(node);
  seen_ = seen_ || (node.op == GGML_OP_FLASH_ATTN_EXT && node.src[0]->ne[1] == 1);
}

bool AlikeRows::is_alike(const ggml_tensor& node) const {
  switch (node.op) {
    case GGML_OP_MUL_MAT:
    case GGML_OP_MUL_MAT_ID: return is_ours(node.src[0]);
    case GGML_OP_FLASH_ATTN_EXT: return is_alike_attention(node);
    // A number at a time, or a row by one thread.
    case GGML_OP_NONE:
    case GGML_OP_RESHAPE:
    case GGML_OP_VIEW:
    case GGML_OP_PERMUTE:
    case GGML_OP_TRANSPOSE:
    case GGML_OP_CONT:
    case GGML_OP_CPY:
    case GGML_OP_DUP:
    case GGML_OP_CONCAT:
    case GGML_OP_REPEAT:
    case GGML_OP_GET_ROWS:
    case GGML_OP_SET_ROWS:
    case GGML_OP_ADD:
    case GGML_OP_ADD_ID:
    case GGML_OP_SUB:
    case GGML_OP_MUL:
    case GGML_OP_DIV:
    case GGML_OP_SCALE:
    case GGML_OP_CLAMP:
    case GGML_OP_SQR:
    case GGML_OP_SQRT:
    case GGML_OP_UNARY:
    case GGML_OP_GLU:
    case GGML_OP_NORM:
    case GGML_OP_RMS_NORM:
    case GGML_OP_L2_NORM:
    case GGML_OP_SOFT_MAX:
    case GGML_OP_SUM_ROWS:
    case GGML_OP_ARGSORT:
    case GGML_OP_TOP_K:
    case GGML_OP_ROPE: return true;
    default: return false;
  }
}

// Our kernel takes it (native/kernels/attention.cpp, takes()), and cuts the cells into chunks in no case: it would by how many sequences there are.
bool AlikeRows::is_alike_attention(const ggml_tensor& node) const {
  constexpr int kLeastChunk = 256, kLanes = 16;  // native/kernels/attention_plan.h, attention_vectors.h
  const ggml_tensor *q = node.src[0], *k = node.src[1], *v = node.src[2];
  const int64_t kv_heads = k->ne[2];
  const auto lies_in_rows = [](const ggml_tensor* of) { return of->nb[0] == ggml_type_size(of->type); };
  const ggml_tensor* mask = node.src[3];
  const bool taken = q->type == GGML_TYPE_F32 && q->ne[2] % kv_heads == 0 && kv_heads == v->ne[2] &&
                     v->ne[0] % kLanes == 0 && lies_in_rows(q) && lies_in_rows(k) && lies_in_rows(v) &&
                     (!mask || (mask->type == GGML_TYPE_F16 && lies_in_rows(mask) && mask->ne[2] == 1));
  const int64_t cells = GGML_PAD(context_size_, kLeastChunk);  // as llama.cpp rounds it
  return taken && (kv_heads % threads_ == 0 || kv_heads >= 4 * threads_ || cells < 2 * kLeastChunk);
}

}  // namespace zse
