// Owns the llama_context that vectors of texts are computed in, beside the one of the streams and of the same weights: streams never see it. Made
// when the first text is computed. Decode thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abortable.h"
#include "compute_threads.h"
#include "core/embedder.h"
#include "llama.h"

namespace zse {

class Model;

class LlamaEmbedder final : public Embedder {
 public:
  /** `threads`: of the streams' context; null where there is none. */
  LlamaEmbedder(std::shared_ptr<const Model> model, ComputeThreads threads);
  ~LlamaEmbedder() override;

  /** Makes the context now. Throws EngineError ENGINE_FAILED where there is no memory for it, BAD_MODEL where the file is no good. */
  void open();

  int max_texts() const override { return max_texts_; }
  int max_tokens() const override { return max_tokens_; }
  int max_batch_tokens() const override { return max_batch_tokens_; }
  int width() const override { return width_; }
  bool cuts_texts() const override { return cuts_texts_; }
  size_t memory_bytes() const override { return memory_bytes_; }
  DecodeStatus compute(const Batch& batch, const AbortCheck& abort) override;
  std::string failure() const override { return failure_; }
  std::optional<std::vector<float>> take(SlotId place, const VectorShape& shape) override;
  void drop(SlotId place) override;

 private:
  struct ContextDeleter {
    void operator()(llama_context* context) const { llama_free(context); }
  };
  /** What the pieces of a text have come to so far. */
  struct Pooled {
    std::vector<float> numbers;  // of a mean, the sum
    int tokens = 0;
  };
  /** Of a text that is computed in pieces, which of them make its vector. llama.cpp pools a piece as if it were the whole text. */
  enum class Merge { kMean, kFirst, kLast };

  void roll_back(const Batch& batch);
  void merge(SlotId place, Position from, int tokens, const float* pooled);
  void clear(SlotId place);

  std::shared_ptr<const Model> model_;
  ComputeThreads threads_;  // outlives the context that computes on it
  Abortable abortable_;     // outlives the context that asks it
  std::unique_ptr<llama_context, ContextDeleter> context_;
  llama_batch batch_ = {};
  enum llama_pooling_type pooling_;
  Merge merge_;
  bool cuts_texts_;
  bool can_roll_back_;
  int max_texts_, max_tokens_, max_batch_tokens_, width_;
  size_t memory_bytes_ = 0;
  std::vector<Pooled> pooled_;  // by place
  std::string failure_;
};

}  // namespace zse
