#include "llama_embedder.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <map>
#include <utility>

#include "../src/llama-ext.h"  // llama_get_memory_breakdown
#include "base/error.h"
#include "common.h"
#include "core/info.h"
#include "devices.h"
#include "ggml_abort.h"
#include "llama_log.h"
#include "model.h"

namespace zse {

namespace {

// Short texts go together. More at once would only make each wait for the others.
constexpr int kMostTexts = 32;
constexpr int kBatchOfTexts = 512;  // tokens of short texts that go together in an encoder

// llama.cpp computes logits for each token whose embedding is wanted, in memory of their own: twice, 4 bytes for each token of the vocabulary.
constexpr int kMostLogits = 16 << 20;  // that may be there at a time: 64 MiB
constexpr int kLeastBatch = 32, kMostBatchOnCpu = 256, kMostBatchOnGpu = 512;

constexpr int kPadding = 256;  // of a context, in llama.cpp

int batch_of_decoder(const ModelInfo& info) {
  const int most = computes_on_cpu(info) ? kMostBatchOnCpu : kMostBatchOnGpu;
  return std::clamp(kMostLogits / std::max(1, info.vocabulary_size) / kLeastBatch * kLeastBatch, kLeastBatch, most);
}

enum llama_pooling_type pooling_of(const ModelInfo& info) {
  if (info.pooling == "mean") return LLAMA_POOLING_TYPE_MEAN;
  if (info.pooling == "cls") return LLAMA_POOLING_TYPE_CLS;
  if (info.pooling == "last") return LLAMA_POOLING_TYPE_LAST;
  if (info.pooling == "rank") return LLAMA_POOLING_TYPE_RANK;
  // A file that says none has a vector for each token. Only the last has seen the whole text where each sees those before it alone.
  return info.generates ? LLAMA_POOLING_TYPE_LAST : LLAMA_POOLING_TYPE_MEAN;
}

}  // namespace

LlamaEmbedder::LlamaEmbedder(std::shared_ptr<const Model> model, ComputeThreads threads)
    : model_(std::move(model)), threads_(std::move(threads)) {
  const ModelInfo& info = model_->info();
  pooling_ = pooling_of(info);
  // Of the two heads for scores that llama.cpp has, Qwen3's looks at the last token, the others at the first.
  const bool ranks_last = pooling_ == LLAMA_POOLING_TYPE_RANK && info.architecture.rfind("qwen3", 0) == 0;
  merge_ = pooling_ == LLAMA_POOLING_TYPE_MEAN                 ? Merge::kMean
           : pooling_ == LLAMA_POOLING_TYPE_LAST || ranks_last ? Merge::kLast
                                                               : Merge::kFirst;
  cuts_texts_ = info.generates;  // where tokens see those behind them, all of a text is computed at once
  const bool remembers_states = llama_model_is_recurrent(model_->get()) || llama_model_is_hybrid(model_->get());
  can_roll_back_ = !remembers_states;
  max_texts_ = remembers_states ? 1 : kMostTexts;
  max_tokens_ = cuts_texts_ ? info.context_size : INT_MAX;
  max_batch_tokens_ = cuts_texts_ ? batch_of_decoder(info) : std::max(info.context_size, kBatchOfTexts);
  width_ = pooling_ == LLAMA_POOLING_TYPE_RANK ? static_cast<int>(llama_model_n_cls_out(model_->get())) : info.vector_size;
  pooled_.resize(max_texts_);
}

LlamaEmbedder::~LlamaEmbedder() {
  if (context_) llama_batch_free(batch_);
}

void LlamaEmbedder::open() {
  if (context_) return;
  const ModelInfo& info = model_->info();
  llama_context_params params = llama_context_default_params();
  // Encoders of decoders' architectures have a KV cache all the same, which holds a batch for as long as it is computed.
  const int held = cuts_texts_ ? info.context_size : max_batch_tokens_;
  params.n_ctx = static_cast<uint32_t>((held + kPadding - 1) / kPadding * kPadding);
  params.n_batch = params.n_ubatch = static_cast<uint32_t>(max_batch_tokens_);
  params.n_seq_max = static_cast<uint32_t>(max_texts_);
  params.n_outputs_max = params.n_batch;
  params.kv_unified = max_texts_ > 1;
  params.embeddings = true;
  params.pooling_type = pooling_;
  params.n_threads = params.n_threads_batch = info.threads;
  params.no_perf = true;
  abortable_.install(params);
  clear_logged_errors();
  const AbortGuard guard(info.generates ? AbortBlame::kEngine : AbortBlame::kFile);  // the first graphs are built here
  context_.reset(llama_init_from_model(model_->get(), params));
  if (!context_) {
    if (!guard.reason().empty()) {
      throw EngineError(info.generates ? "ENGINE_FAILED" : "BAD_MODEL",
                        "\"" + info.path + "\" cannot be used: " + guard.reason());
    }
    const std::string reason = logged_errors();
    throw EngineError("ENGINE_FAILED", "no context could be made for embedding texts of " +
                                           std::to_string(info.context_size) + " tokens" +
                                           (reason.empty() ? "" : ": " + reason) + "; try a smaller contextSize");
  }
  batch_ = llama_batch_init(max_batch_tokens_, 0, 1);
  if (!threads_) threads_ = start_compute_threads(info.threads);
  if (threads_) llama_attach_threadpool(context_.get(), threads_.get(), threads_.get());
  for (const auto& [type, memory] : llama_get_memory_breakdown(context_.get()))
    memory_bytes_ += memory.context + memory.compute;
}

DecodeStatus LlamaEmbedder::compute(const Batch& batch, const AbortCheck& abort) {
  open();
  batch_.n_tokens = static_cast<int32_t>(batch.size());
  for (size_t i = 0; i < batch.size(); i++) {
    batch_.token[i] = batch[i].token;
    batch_.pos[i] = batch[i].position;
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = batch[i].slot;
    batch_.logits[i] = 1;
  }
  clear_logged_errors();
  // Of a model without a memory, it encodes.
  const int result = abortable_.decode(context_.get(), batch_, can_roll_back_ ? &abort : nullptr);
  if (result == 2) {
    roll_back(batch);
    return DecodeStatus::kAborted;
  }
  if (result != 0) {
    const std::string reason = logged_errors();
    failure_ =
        "llama.cpp could not compute a text (code " + std::to_string(result) + (reason.empty() ? ")" : "): " + reason);
    return DecodeStatus::kFailed;
  }
  for (size_t i = 0; i < batch.size();) {
    const SlotId place = batch[i].slot;
    size_t end = i;
    while (end < batch.size() && batch[end].slot == place) end++;
    const float* pooled = llama_get_embeddings_seq(context_.get(), place);
    if (!pooled) {
      failure_ = "llama.cpp computed a text, and has no vector of it";
      return DecodeStatus::kFailed;
    }
    merge(place, batch[i].position, static_cast<int>(end - i), pooled);
    i = end;
  }
  return DecodeStatus::kOk;
}

void LlamaEmbedder::roll_back(const Batch& batch) {
  std::map<SlotId, Position> first;
  for (const BatchToken& token : batch) first.emplace(token.slot, token.position);
  for (const auto& [place, position] : first) {
    llama_memory_seq_rm(llama_get_memory(context_.get()), place, position, -1);
  }
}

void LlamaEmbedder::merge(SlotId place, Position from, int tokens, const float* pooled) {
  Pooled& so_far = pooled_[place];
  const size_t width = static_cast<size_t>(width_);
  if (from == 0 || merge_ == Merge::kLast) {
    so_far.numbers.assign(pooled, pooled + width);
    if (merge_ == Merge::kMean) {
      for (float& number : so_far.numbers) number *= static_cast<float>(tokens);
    }
    so_far.tokens = from == 0 ? tokens : so_far.tokens + tokens;
    return;
  }
  so_far.tokens += tokens;
  if (merge_ == Merge::kFirst) return;
  for (size_t i = 0; i < width; i++) so_far.numbers[i] += pooled[i] * static_cast<float>(tokens);
}

std::optional<std::vector<float>> LlamaEmbedder::take(SlotId place, const VectorShape& shape) {
  Pooled pooled = std::move(pooled_[place]);
  clear(place);
  std::vector<float>& numbers = pooled.numbers;
  if (merge_ == Merge::kMean) {
    for (float& number : numbers) number /= static_cast<float>(pooled.tokens);
  }
  if (!std::all_of(numbers.begin(), numbers.end(), [](float number) { return std::isfinite(number); })) return {};
  if (shape.dimensions > 0) numbers.resize(static_cast<size_t>(shape.dimensions));
  if (!shape.normalize) return std::move(numbers);
  std::vector<float> unit(numbers.size());
  common_embd_normalize(numbers.data(), unit.data(), static_cast<int>(numbers.size()), 2);
  return unit;
}

void LlamaEmbedder::drop(SlotId place) { clear(place); }

void LlamaEmbedder::clear(SlotId place) {
  pooled_[place] = {};
  if (context_) llama_memory_seq_rm(llama_get_memory(context_.get()), place, -1, -1);
}

}  // namespace zse
