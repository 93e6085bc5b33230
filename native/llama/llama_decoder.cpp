#include "llama_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <new>
#include <utility>

#include "../src/llama-ext.h"  // llama_get_memory_breakdown
#include "base/error.h"
#include "core/info.h"
#include "devices.h"
#include "drafter.h"
#include "ggml_abort.h"
#include "llama-context.h"
#include "llama-kv-cache-iswa.h"
#include "llama-model.h"
#include "llama_log.h"
#include "llama_slot_copy.h"
#include "model.h"
#include "sampler.h"
#include "sampler_parts.h"

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
  constexpr double kAccount = 64;
  if (llama_model_is_recurrent(model) || llama_model_is_hybrid(model) || llama_model_n_swa(model) > 0) return kAccount;
  const int head = info.embedding_size / std::max(1, llama_model_n_head(model));
  const int key = metadata_number(model, info.architecture, "attention.key_length", head);
  const int value = metadata_number(model, info.architecture, "attention.value_length", head);
  const ggml_type type = kv_type_of(info.kv_type);
  const auto block = static_cast<double>(ggml_type_size(type)) / static_cast<double>(ggml_blck_size(type));
  return kAccount + block * info.layers * llama_model_n_head_kv(model) * (key + value);
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
  if (!computes_on_cpu(info)) return;
  const size_t total = machine_memory();
  const double tokens = static_cast<double>(info.context_size) * info.max_streams;
  const double bytes = tokens * bytes_per_token(model, info);
  if (total == 0 || bytes <= 2 * static_cast<double>(total)) return;
  const auto gigabytes = [](double amount) { return std::to_string(static_cast<int64_t>(std::ceil(amount / 1e9))) + " GB"; };
  throw EngineError("UNSUPPORTED", "the KV cache for " + std::to_string(info.max_streams) + " streams of " +
                                       std::to_string(info.context_size) + " tokens would take " + gigabytes(bytes) +
                                       ", and this machine has " + gigabytes(static_cast<double>(total)) +
                                       " of memory; try a smaller contextSize, fewer maxStreams" +
                                       (info.kv_type == "f16" ? ", or kvType \"q8_0\"" : " or kvType \"q4_0\""));
}

/**
 * Latest states of a recurrent memory that a slot keeps, to take as many tokens back. Each takes as much as the memory itself, and copies of its own in
 * each layer's graph. llama.cpp keeps them for other architectures, too (Nemotron-H, say), which were not tried.
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

}  // namespace

LlamaDecoder::LlamaDecoder(std::shared_ptr<const Model> model, int more_rows, int draft_tokens) : model_(std::move(model)) {
  const ModelInfo& info = model_->info();
  if (int64_t{info.context_size} * info.max_streams > INT32_MAX) {
    throw EngineError("BAD_OPTION", "contextSize × maxStreams is " +
                                        std::to_string(int64_t{info.context_size} * info.max_streams) +
                                        " tokens; llama.cpp counts to " + std::to_string(INT32_MAX) + " at most");
  }
  check_kv_type(model_->get(), info);
  check_memory(model_->get(), info);
  llama_context_params params = context_params(info.context_size, info.max_streams, more_rows, info.kv_type);
  if (computes_on_cpu(info)) {
    params.n_batch = params.n_ubatch = std::max(kBatchTokensOnCpu, static_cast<uint32_t>(info.max_streams));
  }
  // With one buffer, the size of the context would be that of all streams.
  params.kv_unified = unified_ = one_buffer_for_all(info) && !info.rotates_by_context;
  params.n_rs_seq = static_cast<uint32_t>(states_kept(model_->get(), draft_tokens));
  params.n_outputs_max = std::min(params.n_outputs_max, params.n_batch);
  max_outputs_ = static_cast<int>(params.n_outputs_max);
  moves_ = info.moves_chunks;
  if (moves_) {
    check_moves();
    params.kv_unified = unified_ = true;  // sequences share cells there
    params.n_seq_max = static_cast<uint32_t>(sequences_with_moves(info.max_streams));
    params.n_batch = params.n_ubatch = std::max(params.n_batch, params.n_seq_max);
    params.n_outputs_max = std::max(params.n_outputs_max, params.n_seq_max);  // llama.cpp wants one for each
  }
  params.n_threads = info.threads;
  params.n_threads_batch = info.threads;
  params.abort_callback = [](void* self) {
    const AbortCheck* check = static_cast<LlamaDecoder*>(self)->abort_;
    return check && (*check)();
  };
  params.abort_callback_data = this;

  make_context(params);
  reserve_adapters();
  threads_ = start_compute_threads(info.threads);
  if (threads_) llama_attach_threadpool(context_.get(), threads_.get(), threads_.get());
  if (threads_ && computes_on_cpu(info)) pool_work_ = std::make_unique<PoolWork>(threads_, info.threads);
  can_roll_back_ = !llama_model_is_recurrent(model_->get()) && !llama_model_is_hybrid(model_->get());
  if (dynamic_cast<llama_kv_cache_iswa*>(llama_get_memory(context_.get()))) window_ = llama_model_n_swa(model_->get());
  batch_ = llama_batch_init(static_cast<int32_t>(params.n_batch), 0, 1);
}

void LlamaDecoder::check_moves() const {
  const ModelInfo& info = model_->info();
  const auto most = static_cast<int>(llama_max_parallel_sequences());
  if (sequences_with_moves(info.max_streams) > most) {
    throw EngineError("BAD_OPTION", "promptCache.moved takes two of llama.cpp's " + std::to_string(most) +
                                        " sequences for each stream, and one more; maxStreams is " +
                                        std::to_string(info.max_streams) + ", and may be " + std::to_string((most - 1) / 2));
  }
  const llama_model* model = model_->get();
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

void LlamaDecoder::make_context(const llama_context_params& params) {
  const ModelInfo& info = model_->info();
  clear_logged_errors();
  const AbortGuard guard(AbortBlame::kFile);  // the first graphs are built here
  context_.reset(llama_init_from_model(model_->get(), params));
  if (context_ && !llama_get_memory(context_.get())) {
    throw EngineError("BAD_MODEL", "\"" + info.path + "\" cannot be used: its architecture, \"" + info.architecture +
                                       "\", is an encoder's, and the file says that its attention is causal");
  }
  if (context_) return;
  if (!guard.reason().empty()) throw EngineError("BAD_MODEL", "\"" + info.path + "\" cannot be used: " + guard.reason());
  const std::string reason = logged_errors();
  throw EngineError("ENGINE_FAILED", "no context could be made for " + std::to_string(info.max_streams) + " streams of " +
                                         std::to_string(info.context_size) + " tokens" +
                                         (reason.empty() ? "" : ": " + reason) +
                                         "; try a smaller contextSize or fewer maxStreams");
}

/**
 * The graphs with all of them are built once: so what llama.cpp cannot compute with this model ends no process later, and no change of adapters needs
 * more memory than there is.
 */
void LlamaDecoder::reserve_adapters() {
  const std::vector<AdapterFile>& files = model_->info().adapters;
  if (files.empty()) return;
  std::vector<AdapterScale> all;
  std::string names;
  for (const AdapterFile& file : files) {
    all.push_back({file.name, 1});
    names += (names.empty() ? "\"" : "\", \"") + file.path;
  }
  const AbortGuard guard(AbortBlame::kEngine);
  try {
    use_adapters(all);
    context_->sched_reserve();
  } catch (const std::exception& e) {
    const std::string reason = guard.reason().empty() ? e.what() : guard.reason();
    throw EngineError("UNSUPPORTED", names + "\" cannot be used with this model: " + reason);
  }
  use_adapters({});
}

LlamaDecoder::~LlamaDecoder() { llama_batch_free(batch_); }

int LlamaDecoder::max_slots() const { return model_->info().max_streams; }
int LlamaDecoder::context_size() const { return model_->info().context_size; }
int LlamaDecoder::max_batch_tokens() const { return static_cast<int>(llama_n_batch(context_.get())); }

void LlamaDecoder::use_adapters(const std::vector<AdapterScale>& adapters) {
  if (model_->adapters().empty()) return;
  std::vector<llama_adapter_lora*> used;
  std::vector<float> scales;
  for (const auto& [name, scale] : adapters) {
    used.push_back(model_->adapters().find(name));
    scales.push_back(scale);
  }
  llama_set_adapters_lora(context_.get(), used.data(), used.size(),
                          scales.data());  // nothing, where they are those of the last step
}

DecodeStatus LlamaDecoder::decode(const Batch& batch, const AbortCheck& abort) {
  batch_.n_tokens = static_cast<int32_t>(batch.size());
  for (size_t i = 0; i < batch.size(); i++) {
    batch_.token[i] = batch[i].token;
    batch_.pos[i] = batch[i].position;
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = batch[i].slot;
    batch_.logits[i] = batch[i].output;
  }
  clear_logged_errors();
  abort_ = can_roll_back_ ? &abort : nullptr;
  const int result = llama_decode(context_.get(), batch_);
  // On a GPU the call only queues the work; waiting here keeps the measured step time, and so the planner, honest.
  if (result == 0) llama_synchronize(context_.get());
  abort_ = nullptr;
  if (result == 0) return DecodeStatus::kOk;
  if (result == 2) {
    roll_back(batch);
    return DecodeStatus::kAborted;
  }
  const std::string reason = logged_errors();
  failure_ = "llama.cpp could not compute a step (code " + std::to_string(result) + (reason.empty() ? ")" : "): " + reason);
  return DecodeStatus::kFailed;
}

// llama.cpp removes what the interrupted micro-batch wrote, and keeps earlier ones: cut every sequence back to where it was.
void LlamaDecoder::roll_back(const Batch& batch) {
  std::map<SlotId, Position> first;
  for (const BatchToken& token : batch) {
    const auto [entry, inserted] = first.emplace(token.slot, token.position);
    if (!inserted) entry->second = std::min(entry->second, token.position);
  }
  for (const auto& [slot, position] : first) {
    llama_memory_seq_rm(llama_get_memory(context_.get()), slot, position, -1);
  }
}

void LlamaDecoder::clear_slot(SlotId slot) {
  llama_memory_seq_rm(llama_get_memory(context_.get()), slot, -1, -1);
  if (moves_) drop_aside(slot);
}

// A window of attention smaller than the slot (SWA) may have let go of tokens that the ones after the cut would look at; so has an image.
int LlamaDecoder::cut_from(SlotId slot, int tokens) const {
  return can_roll_back_ && llama_memory_seq_pos_min(llama_get_memory(context_.get()), slot) <= 0 ? 0 : tokens;
}

bool LlamaDecoder::cut_slot(SlotId slot, int tokens) {
  const bool whole = cut_from(slot, tokens) == 0;
  if (whole && llama_memory_seq_rm(llama_get_memory(context_.get()), slot, tokens, -1)) return true;
  clear_slot(slot);
  return false;
}

size_t LlamaDecoder::checkpoint_bytes(SlotId slot) const {
  return has_checkpoints() ? llama_state_seq_get_size_ext(context_.get(), slot, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY) : 0;
}

std::shared_ptr<const SlotImage> LlamaDecoder::save_checkpoint(SlotId slot) try {
  const size_t bytes = checkpoint_bytes(slot);
  if (bytes == 0) return nullptr;
  auto state = std::make_shared<SlotImage>(bytes);
  const size_t written =
      llama_state_seq_get_data_ext(context_.get(), state->data(), bytes, slot, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY);
  return written == bytes ? state : nullptr;
} catch (const std::bad_alloc&) {
  return nullptr;
}

// The part that cannot be cut is put back as it was; what the rest of the memory holds beyond that is cut off.
bool LlamaDecoder::cut_slot_at(SlotId slot, int tokens, const std::shared_ptr<const SlotImage>& state) {
  llama_memory_t memory = llama_get_memory(context_.get());
  LlamaSlotCopy copy(LlamaSlotCopy::Direction::kIn, state);
  zse_state_expect_tokens(tokens);
  const bool all = copy.collect([&] {
    return llama_state_seq_set_data_ext(context_.get(), state->data(), state->size(), slot,
                                        LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY) == state->size();
  });
  zse_state_expect_tokens(0);
  if (all) copy.finish();
  if (all && copy.sound() && llama_memory_seq_rm(memory, slot, tokens, -1) &&
      llama_memory_seq_pos_max(memory, slot) == tokens - 1) {
    return true;
  }
  clear_slot(slot);
  return false;
}

// A window of attention has let go of nothing for these tokens that the one before them does not do without as well.
bool LlamaDecoder::take_back(SlotId slot, int tokens) {
  if (llama_memory_seq_rm(llama_get_memory(context_.get()), slot, tokens, -1)) return true;
  clear_slot(slot);
  return false;
}

// llama.cpp has fewer where it does not support it for an architecture: none.
int LlamaDecoder::most_taken_back() const {
  return can_roll_back_ ? INT_MAX : static_cast<int>(llama_n_rs_seq(context_.get()));
}

size_t LlamaDecoder::cache_bytes() const {
  size_t kept = 0;
  for (const auto& [type, memory] : llama_get_memory_breakdown(context_.get())) kept += memory.context;
  return kept;
}

/** A slot's share of all that the context keeps; and what stands between, of which each token has a few bytes. */
size_t LlamaDecoder::largest_image() const {
  constexpr size_t kBetween = size_t{16} << 20, kOfToken = 64;
  return cache_bytes() / max_slots() + kBetween + kOfToken * context_size();
}

size_t LlamaDecoder::image_bytes(SlotId slot) const { return llama_state_seq_get_size(context_.get(), slot); }

// Between buffers, llama_memory_seq_cp() only notes a copy of the whole buffer down for the next step, and whatever touches either slot
// before that would see the wrong data. Within one buffer it is done at once: the sequences share the cells.
bool LlamaDecoder::share_slot(SlotId from, SlotId to, int tokens) {
  if (!unified_ || !can_roll_back_) return false;
  llama_memory_seq_cp(llama_get_memory(context_.get()), from, to, 0, tokens);
  return true;
}

// Chunks may change their order, so that one's new place is another's old one: each is renumbered where no other is. The keys
// of renumbered cells alone are rotated (vendor/patches), and at once: an aborted step would leave some of the layers as they were.
void LlamaDecoder::set_aside(SlotId slot, int tokens, const MovedChunks& chunks) {
  llama_memory_t memory = llama_get_memory(context_.get());
  const llama_seq_id alone = 2 * max_slots();
  for (const MovedChunk& chunk : chunks) {
    const Position end = chunk.from + chunk.tokens;
    llama_memory_seq_cp(memory, slot, alone, chunk.from, end);
    llama_memory_seq_rm(memory, slot, chunk.from, end);
    llama_memory_seq_add(memory, alone, chunk.from, end, chunk.at - chunk.from);
    llama_memory_seq_cp(memory, alone, aside(slot), -1, -1);
    llama_memory_seq_rm(memory, alone, -1, -1);
  }
  llama_memory_seq_rm(memory, slot, tokens, -1);
  context_->memory_update(false);
}

void LlamaDecoder::put_back(SlotId slot, const MovedChunk& chunk) {
  llama_memory_t memory = llama_get_memory(context_.get());
  const Position end = chunk.at + chunk.tokens;
  llama_memory_seq_cp(memory, aside(slot), slot, chunk.at, end);
  llama_memory_seq_rm(memory, aside(slot), chunk.at, end);
}

void LlamaDecoder::drop_aside(SlotId slot) { llama_memory_seq_rm(llama_get_memory(context_.get()), aside(slot), -1, -1); }

/** Where in an image the states begin that other sequences' steps may move about: they are its end, and copied at once. */
const uint8_t* LlamaDecoder::movable_part(const SlotImage& image, SlotId slot) const {
  return image.data() + image.size() - std::min(image.size(), checkpoint_bytes(slot));
}

std::unique_ptr<SlotCopy> LlamaDecoder::begin_save(SlotId slot) try {
  auto image = std::make_shared<SlotImage>(image_bytes(slot));
  auto copy = std::make_unique<LlamaSlotCopy>(LlamaSlotCopy::Direction::kOut, image);
  const bool all = copy->collect(
      [&] { return llama_state_seq_get_data(context_.get(), image->data(), image->size(), slot) == image->size(); });
  if (!all) return nullptr;
  if (!can_roll_back_) copy->finish_from(movable_part(*image, slot));
  return copy;
} catch (const std::bad_alloc&) {
  return nullptr;
}

std::unique_ptr<SlotCopy> LlamaDecoder::begin_load(SlotId slot, std::shared_ptr<const SlotImage> image, int tokens) try {
  auto copy = std::make_unique<LlamaSlotCopy>(LlamaSlotCopy::Direction::kIn, image);
  zse_state_expect_tokens(tokens);
  const bool all = copy->collect(
      [&] { return llama_state_seq_set_data(context_.get(), image->data(), image->size(), slot) == image->size(); });
  zse_state_expect_tokens(0);
  bool sound = all && llama_memory_seq_pos_max(llama_get_memory(context_.get()), slot) == tokens - 1;
  if (sound && !can_roll_back_) {
    copy->finish_from(movable_part(*image, slot));
    sound = copy->sound();
  }
  if (sound) return copy;
  clear_slot(slot);
  return nullptr;
} catch (const std::bad_alloc&) {
  zse_state_expect_tokens(0);
  clear_slot(slot);
  return nullptr;
}

std::unique_ptr<TokenSampler> LlamaDecoder::make_sampler(const SamplingParams& params, const Prompt& prompt,
                                                         std::unique_ptr<SamplerParts> parts) {
  const ModelInfo& info = model_->info();
  const SamplerModel model{info.vocabulary_size, info.context_size, model_->end_tokens()};
  auto* own = static_cast<LlamaSamplerParts*>(parts.get());
  return std::make_unique<LlamaSampler>(model, params, prompt, own ? std::move(*own) : LlamaSamplerParts());
}

std::unique_ptr<Drafter> LlamaDecoder::make_drafter(const Prompt& prompt, DraftParams params) {
  if (most_taken_back() == 0) return nullptr;
  return std::make_unique<LookupDrafter>(prompt, std::move(params));
}

void LlamaDecoder::end_reasoning(TokenSampler& sampler) {
  if (Constraint* constraint = static_cast<LlamaSampler&>(sampler).constraint()) constraint->end_reasoning();
}

std::optional<Token> LlamaDecoder::sample(TokenSampler& sampler, size_t index) {
  return static_cast<LlamaSampler&>(sampler).sample(llama_get_logits_ith(context_.get(), static_cast<int32_t>(index)));
}

std::optional<Token> LlamaDecoder::replay(TokenSampler& sampler, size_t index, Token token) {
  if (token < 0 || token >= model_->info().vocabulary_size) {
    throw EngineError("BAD_OPTION", "replay names token " + std::to_string(token) +
                                        "; the token ids of this vocabulary are 0 to " +
                                        std::to_string(model_->info().vocabulary_size - 1));
  }
  float* logits = llama_get_logits_ith(context_.get(), static_cast<int32_t>(index));
  return static_cast<LlamaSampler&>(sampler).sample(logits, token);
}

// A sampler touches nothing of another's, and the threads that have just computed the logits spin for more work. The first row is asked for here, since
// llama.cpp puts the rows in order then.
void LlamaDecoder::draw_all(std::vector<Draw>& draws) {
  if (!pool_work_ || draws.size() < 2) return Decoder::draw_all(draws);
  llama_get_logits_ith(context_.get(), static_cast<int32_t>(draws.front().index));
  pool_work_->for_each(static_cast<int>(draws.size()), [&](int i) {
    const AbortGuard guard(AbortBlame::kEngine);
    draw(draws[static_cast<size_t>(i)]);
  });
}

TokenLogprobs LlamaDecoder::logprobs_of_first(Token token) const {
  return {logprob_of(token, std::numeric_limits<float>::quiet_NaN()), {}};
}

TokenLogprobs LlamaDecoder::logprobs_at(size_t index, Token token, int top) {
  const float* logits = llama_get_logits_ith(context_.get(), static_cast<int32_t>(index));
  Distribution distribution;
  distribution.read(logits, model_->info().vocabulary_size, top);
  return logprobs_of(distribution, {token, logits[token]});
}

TokenLogprobs LlamaDecoder::logprobs(const TokenSampler& sampler) const {
  const auto& source = static_cast<const LlamaSampler&>(sampler);
  return logprobs_of(source.distribution(), source.drawn());
}

TokenLogprobs LlamaDecoder::logprobs_of(const Distribution& distribution, Distribution::Entry chosen) const {
  TokenLogprobs logprobs{logprob_of(chosen.token, distribution.logprob(chosen.logit)), {}};
  for (const auto& [token, logit] : distribution.top())
    logprobs.top.push_back(logprob_of(token, distribution.logprob(logit)));
  return logprobs;
}

TokenLogprob LlamaDecoder::logprob_of(Token token, float logprob) const {
  TokenLogprob one;
  one.token = token;
  one.logprob = logprob;
  append_piece(token, one.bytes);
  if (one.bytes.empty()) one.name = control_name(token);
  return one;
}

bool LlamaDecoder::is_end_of_generation(Token token) const { return llama_vocab_is_eog(model_->vocab(), token); }

bool LlamaDecoder::has_token(Token token) const { return token >= 0 && token < model_->info().vocabulary_size; }

void LlamaDecoder::append_piece(Token token, std::string& out) const { model_->append_piece(token, out); }

std::string_view LlamaDecoder::control_name(Token token) const {
  return llama_vocab_is_control(model_->vocab(), token) ? llama_vocab_get_text(model_->vocab(), token) : "";
}

}  // namespace zse
