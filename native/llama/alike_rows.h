// Owns whether a token's logits are the same to the bit whichever other sequences' tokens are computed in the same step, one of each: read off the graphs that
// llama.cpp computes, node by node. Decode thread.
#pragma once

#include "llama.h"

struct ggml_tensor;

namespace zse {

/**
 * Of a context whose sequences have KV buffers of their own. Our products round a row alike alone and with others, and so does our attention of one
 * token of each sequence, where it is not cut up among threads by how many there are. What else is in a graph must work row by row. Whatever is not known to
 * makes it false for good: what llama.cpp leaves to other kernels (F32 routers of experts, adapters, types that are not ours), recurrent memory, a GPU.
 */
class AlikeRows {
 public:
  /** For a context of so many threads and cells for a sequence. */
  AlikeRows(int threads, int context_size) : threads_(threads), context_size_(context_size) {}
  AlikeRows(const AlikeRows&) = delete;  // the context knows its address
  AlikeRows& operator=(const AlikeRows&) = delete;

  /** Of a context that ends before this does. */
  void install(llama_context_params& params);

  /** False until a step has been seen that computes one token of each of its sequences. */
  bool known() const { return alike_ && seen_; }

 private:
  void see(const ggml_tensor& node);
  bool is_alike(const ggml_tensor& node) const;
  bool is_alike_attention(const ggml_tensor& node) const;

  const int threads_, context_size_;
  bool alike_ = true;
  bool seen_ = false;
};

}  // namespace zse
