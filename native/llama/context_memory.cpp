#include "context_memory.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <string>

#include "../src/llama-ext.h"  // llama_get_memory_breakdown
#include "base/error.h"
#include "devices.h"
#include "llama-model.h"

namespace zse {

namespace {

// With a KV buffer for each sequence, a step that decodes and computes a piece of a prompt takes two passes over the weights; with one
// for all it takes one, and each token's attention passes over the others' cells, which our kernel on the CPU leaves out
// (vendor/patches). That pays where the weights are what a step waits for. Beyond it the mask over everybody's cells costs more,
// and in deterministic mode the places of a sequence's cells must not depend on others (docs/lab/kv-buffer.md has the figures).
constexpr int kMostUnifiedStreams = 32;
constexpr double kLeastUnifiedBytes = 64 << 20;

// A GPU needs many rows to be busy. On a CPU half as many are computed as quickly (docs/lab/batches.md), in half the buffers; and
// a newcomer, or whoever comes after an aborted step, waits half as long.
constexpr uint32_t kBatchTokensOnCpu = 256;

bool one_buffer_for_all(const ModelInfo& info) {
  return computes_on_cpu(info) && !info.deterministic && info.max_streams > 1 && info.max_streams <= kMostUnifiedStreams &&
         info.size_bytes >= kLeastUnifiedBytes;
}

int metadata_number(const llama_model* model, const std::string& architecture, const char* key, int otherwise) {
  char text[32];
  const std::string name = architecture + "." + key;
  const int length = llama_model_meta_val_str(model, name.c_str(), text, sizeof text);
  return length > 0 ? std::atoi(text) : otherwise;
}

/**
 * Bytes that a token takes in the KV cache, with llama.cpp's account of it. Only the account where the model's memory is of another kind,
 * or a window of attention lets it be smaller.
 */
double bytes_per_token(const llama_model* model, const ModelInfo& info) {
  if (llama_model_is_recurrent(model) || llama_model_is_hybrid(model) || llama_model_n_swa(model) > 0) return kAccountBytes;
  const int head = info.embedding_size / std::max(1, llama_model_n_head(model));
  const int key = metadata_number(model, info.architecture, "attention.key_length", head);
  const int value = metadata_number(model, info.architecture, "attention.value_length", head);
  const ggml_type type = kv_type_of(info.kv_type);
  const auto block = static_cast<double>(ggml_type_size(type)) / static_cast<double>(ggml_blck_size(type));
  return kAccountBytes + block * info.layers * llama_model_n_head_kv(model) * (key + value);
}

/** What llama.cpp would refuse with a line in its log alone. */
void check_kv_type(const llama_model* model, const ModelInfo& info) {
  const ggml_type type = kv_type_of(info.kv_type);
  if (!ggml_is_quantized(type)) return;
  const std::string cannot = "kvType \"" + info.kv_type + "\" cannot be used with this model: ";
  if (model->arch == LLM_ARCH_GROK) {
    throw EngineError("UNSUPPORTED",
                      cannot +
                          "llama.cpp computes the attention of grok without its flash kernels, which alone read "
                          "quantized values; open it with kvType \"f16\"");
  }
  const auto block = static_cast<uint32_t>(ggml_blck_size(type));
  for (uint32_t layer = 0; layer < model->hparams.n_layer(); layer++) {
    for (const uint32_t size : {model->hparams.n_embd_head_k(layer), model->hparams.n_embd_head_v(layer)}) {
      if (size % block == 0) continue;
      throw EngineError("UNSUPPORTED", cannot + "keys and values are stored in blocks of " + std::to_string(block) +
                                           " numbers, and its heads have " + std::to_string(size) +
                                           "; open it with kvType \"f16\"");
    }
  }
}

/** Memory is taken as streams use it (vendor/patches), so that what can never fit would show only then. */
void check_memory(const llama_model* model, const ModelInfo& info) {
  const bool on_cpu = computes_on_cpu(info);
  const size_t total = machine_memory() + (on_cpu ? 0 : gpu_memory());
  const double tokens = static_cast<double>(info.context_size) * info.max_streams;
  const double bytes = tokens * bytes_per_token(model, info);
  if (total == 0 || bytes <= 2 * static_cast<double>(total)) return;
  const auto gigabytes = [](double amount) { return std::to_string(static_cast<int64_t>(std::ceil(amount / 1e9))) + " GB"; };
  throw EngineError("UNSUPPORTED", "the KV cache for " + std::to_string(info.max_streams) + " streams of " +
                                       std::to_string(info.context_size) + " tokens would take " + gigabytes(bytes) +
                                       ", and this machine has " + gigabytes(static_cast<double>(total)) + " of memory" +
                                       (on_cpu ? "" : " with its GPU's") + "; try a smaller contextSize, fewer maxStreams" +
                                       (info.kv_type == "f16" ? ", or kvType \"q8_0\"" : " or kvType \"q4_0\""));
}

/**
 * Latest states of a recurrent memory that a slot keeps, to take as many tokens back. Each takes as much as the memory itself, and copies of its own in
 * the graphs of short batches (of Qwen3.5, by a patch in vendor/patches). llama.cpp keeps them for other architectures, too (Nemotron-H, say), which were not tried.
 */
int states_kept(const llama_model* model, int draft_tokens) {
  constexpr double kMostBytes = 64e6;
  constexpr double kMost = 8;
  switch (model->arch) {
    case LLM_ARCH_LFM2:
    case LLM_ARCH_LFM2MOE:
    case LLM_ARCH_QWEN35:
    case LLM_ARCH_QWEN35MOE: break;
    default: return 0;
  }
  const llama_hparams& hparams = model->hparams;
  double bytes = 0;
  for (uint32_t layer = 0; layer < hparams.n_layer(); layer++) {
    if (hparams.is_recr(layer)) bytes += sizeof(float) * (hparams.n_embd_r() + hparams.n_embd_s());
  }
  if (bytes == 0) return 0;
  return static_cast<int>(std::min({static_cast<double>(draft_tokens), kMost, kMostBytes / bytes}));
}

/** Each slot's own, one beside it for what waits for its place, and one that a chunk is alone in while its tokens are renumbered. */
int sequences_with_moves(int max_streams) { return 2 * max_streams + 1; }

/** What stands against promptCache.moved. */
void check_moves(const llama_model* model, const ModelInfo& info) {
  const auto most = static_cast<int>(llama_max_parallel_sequences());
  if (sequences_with_moves(info.max_streams) > most) {
    throw EngineError("BAD_OPTION", "promptCache.moved takes two of llama.cpp's " + std::to_string(most) +
                                        " sequences for each stream, and one more; maxStreams is " +
                                        std::to_string(info.max_streams) + ", and may be " + std::to_string((most - 1) / 2));
  }
  const llama_hparams& hparams = model->hparams;
  const char* why = nullptr;
  if (llama_model_is_recurrent(model) || llama_model_is_hybrid(model)) {
    why = "has a recurrent memory, whose states stand for all that came before";
  } else if (llama_model_n_swa(model) > 0) {
    why = "lets go of keys and values that its sliding attention has passed";
  } else if (hparams.rope_type == LLAMA_ROPE_TYPE_NONE) {
    why = "does not rotate its keys by their places, so that they cannot be given others";
  } else if (info.rotates_by_context || hparams.n_pos_per_embd() > 1 || model->arch == LLM_ARCH_STEP35) {
    why = "rotates its keys in a way that llama.cpp cannot undo";
  }
  const bool quantized = ggml_is_quantized(kv_type_of(info.kv_type));
  for (uint32_t layer = 0; quantized && layer < hparams.n_layer(); layer++) {
    if (hparams.n_rot(layer) == hparams.n_embd_head_k(layer)) continue;
    why = "rotates a part of its keys, which cannot be done with quantized ones (kvType)";
  }
  if (why) {
    throw EngineError("UNSUPPORTED", std::string("promptCache.moved cannot be used with this model: it ") + why +
                                         "; open it without, and what begins alike is reused all the same");
  }
}

}  // namespace

llama_context_params params_of_context(const llama_model* model, const ModelInfo& info, int more_rows, int draft_tokens) {
  if (int64_t{info.context_size} * info.max_streams > INT32_MAX) {
    throw EngineError("BAD_OPTION",
                      "contextSize × maxStreams is " + std::to_string(int64_t{info.context_size} * info.max_streams) +
                          " tokens; llama.cpp counts to " + std::to_string(INT32_MAX) + " at most; give less of either");
  }
  check_kv_type(model, info);
  check_memory(model, info);
  llama_context_params params = context_params(info.context_size, info.max_streams, more_rows, info.kv_type);
  if (computes_on_cpu(info)) {
    params.n_batch = params.n_ubatch = std::max(kBatchTokensOnCpu, static_cast<uint32_t>(info.max_streams));
  }
  // With one buffer, the size of the context would be that of all streams.
  params.kv_unified = one_buffer_for_all(info) && !info.rotates_by_context;
  params.n_rs_seq = static_cast<uint32_t>(states_kept(model, draft_tokens));
  params.n_outputs_max = std::min(params.n_outputs_max, params.n_batch);
  if (info.moves_chunks) {
    check_moves(model, info);
    params.kv_unified = true;  // sequences share cells there
    params.n_seq_max = static_cast<uint32_t>(sequences_with_moves(info.max_streams));
    params.n_batch = params.n_ubatch = std::max(params.n_batch, params.n_seq_max);
    params.n_outputs_max = std::max(params.n_outputs_max, params.n_seq_max);  // llama.cpp wants one for each
  }
  return params;
}

size_t bytes_kept(const llama_context* context) {
  size_t kept = 0;
  for (const auto& [type, memory] : llama_get_memory_breakdown(context)) kept += memory.context;
  return kept;
}

}  // namespace zse
