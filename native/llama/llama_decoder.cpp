#include "llama_decoder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <new>
#include <utility>

#include "../src/llama-ext.h"  // llama_get_memory_breakdown
#include "base/error.h"
#include "context_memory.h"
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

LlamaDecoder::LlamaDecoder(std::shared_ptr<const Model> model, int more_rows, int draft_tokens) : model_(std::move(model)) {
  const ModelInfo& info = model_->info();
  llama_context_params params = params_of_context(model_->get(), info, more_rows, draft_tokens);
  unified_ = params.kv_unified;
  moves_ = info.moves_chunks;
  max_outputs_ = std::min(info.max_streams + more_rows, static_cast<int>(params.n_batch));
  params.n_threads = info.threads;
  params.n_threads_batch = info.threads;
  abortable_.install(params);
  if (info.deterministic && info.adapters.empty() && computes_on_cpu(info)) {
    alike_rows_ = std::make_unique<AlikeRows>(info.threads, info.context_size);
    alike_rows_->install(params);
  }

  make_context(params);
  reserve_adapters();
  threads_ = start_compute_threads(info.threads);
  if (threads_) llama_attach_threadpool(context_.get(), threads_.get(), threads_.get());
  row_groups_ = computes_on_cpu(info) ? cpu_row_groups() : Decoder::row_groups();
  if (threads_ && computes_on_cpu(info)) pool_work_ = std::make_unique<PoolWork>(threads_, info.threads);
  if (pool_work_ && pool_work_->cpu_ms() >= 0) most_threads_ = used_threads_ = info.threads;
  can_roll_back_ = !llama_model_is_recurrent(model_->get()) && !llama_model_is_hybrid(model_->get());
  if (dynamic_cast<llama_kv_cache_iswa*>(llama_get_memory(context_.get()))) window_ = llama_model_n_swa(model_->get());
  batch_ = llama_batch_init(static_cast<int32_t>(params.n_batch), 0, 1);
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

// Another pool for fewer: threads of one that are left over would spin. ggml has the pool sleep that is not used.
void LlamaDecoder::use_threads(int count) {
  if (count == used_threads_) return;
  const int all = model_->info().threads;
  ggml_threadpool* pool = threads_.get();
  if (count < all) {
    try {
      ComputeThreads& fewer = fewer_threads_[count];
      if (!fewer && count > 1) fewer = start_compute_threads(count);
      pool = fewer.get();
    } catch (const EngineError&) {
      most_threads_ = 1;  // no choice any more
      count = all;
    }
  }
  if (pool)
    llama_attach_threadpool(context_.get(), pool, pool);
  else
    llama_detach_threadpool(context_.get());
  llama_set_n_threads(context_.get(), count, count);
  used_threads_ = count;
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
  const int result = abortable_.decode(context_.get(), batch_, can_roll_back_ ? &abort : nullptr);
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

size_t LlamaDecoder::cache_bytes() const { return bytes_kept(context_.get()); }

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
  if (!pool_work_ || draws.size() < 2 || used_threads_ < model_->info().threads) return Decoder::draw_all(draws);
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
