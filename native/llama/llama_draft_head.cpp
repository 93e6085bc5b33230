#include "llama_draft_head.h"

#include <algorithm>
#include <cstring>
#include <exception>

#include "../src/llama-ext.h"  // llama_set_embeddings_nextn
#include "base/error.h"
#include "common.h"
#include "context_memory.h"
#include "devices.h"
#include "ggml_abort.h"
#include "llama_decoder.h"
#include "llama_log.h"
#include "model.h"

namespace zse {

namespace {

// A token that it gives less is not likely to come, and ends a draft.
constexpr float kLeastProbability = 0.25f;

constexpr int kLongestDraft = 16;

// Steps that it follows a slot for without being asked for guesses: what it has not followed is lost, and chances change from step to step.
constexpr int kPatience = 2;

}  // namespace

LlamaDraftHead::LlamaDraftHead(const Model& model, const LlamaDecoder& target, int rows) : target_(target.context()) {
  const int streams = target.max_slots();
  const int context_size = target.context_size();
  longest_ = std::max(1, std::min(kLongestDraft, context_size / 4));
  followed_.resize(static_cast<size_t>(streams));
  asked_.resize(static_cast<size_t>(streams));

  llama_context_params params = context_params(context_size, streams, 0, "f16");
  params.ctx_type = LLAMA_CONTEXT_TYPE_MTP;
  params.n_batch = params.n_ubatch = static_cast<uint32_t>(std::max(rows, streams));
  params.n_outputs_max = static_cast<uint32_t>(streams);
  params.n_threads = params.n_threads_batch = model.info().threads;
  abortable_.install(params);
  clear_logged_errors();
  const AbortGuard guard(AbortBlame::kFile);
  context_.reset(llama_init_from_model(model.get(), params));
  if (!context_) {
    const std::string reason = guard.reason().empty() ? logged_errors() : guard.reason();
    throw EngineError("UNSUPPORTED", reason.empty() ? "no context could be made for it" : reason);
  }
  if (target.threads()) llama_attach_threadpool(context_.get(), target.threads().get(), target.threads().get());
  width_ = static_cast<size_t>(llama_model_n_embd_out(model.get()));

  common_params_speculative wanted;
  wanted.types = {COMMON_SPECULATIVE_TYPE_DRAFT_MTP};
  wanted.draft.n_max = longest_;
  wanted.draft.p_min = kLeastProbability;
  wanted.draft.backend_sampling = false;
  wanted.draft.ctx_tgt = target_;
  wanted.draft.ctx_dft = context_.get();
  speculative_.reset(common_speculative_init(wanted, static_cast<uint32_t>(streams)));
  if (!speculative_) throw EngineError("UNSUPPORTED", "llama.cpp cannot guess with it");
  tell_rows(false);
  batch_ = llama_batch_init(static_cast<int32_t>(params.n_batch), 0, 1);
}

LlamaDraftHead::~LlamaDraftHead() { llama_batch_free(batch_); }

size_t LlamaDraftHead::cache_bytes() const { return bytes_kept(context_.get()); }

/** Of each token that has logits, the model gives its row too, from the next step on. */
void LlamaDraftHead::tell_rows(bool wanted) { llama_set_embeddings_nextn(target_, wanted, true); }

/** Whether what it has followed is the end of the first `end` tokens. */
bool LlamaDraftHead::follows(SlotId slot, const std::vector<Token>& known, size_t end) const {
  const Followed& followed = followed_[static_cast<size_t>(slot)];
  return followed.begun && followed.from + followed.tokens.size() == end && end <= known.size() &&
         std::equal(followed.tokens.begin(), followed.tokens.end(),
                    known.begin() + static_cast<std::ptrdiff_t>(followed.from));
}

void LlamaDraftHead::cut(SlotId slot, size_t end) {
  llama_memory_seq_rm(llama_get_memory(context_.get()), slot, static_cast<Position>(end), -1);
}

void LlamaDraftHead::forget(SlotId slot) {
  Followed& followed = followed_[static_cast<size_t>(slot)];
  llama_memory_seq_rm(llama_get_memory(context_.get()), slot, -1, -1);
  followed = {};
}

void LlamaDraftHead::ask(SlotId slot) {
  asked_[static_cast<size_t>(slot)] = true;
  followed_[static_cast<size_t>(slot)].passed_over = 0;
  tell_rows(true);
}

int LlamaDraftHead::behind(SlotId slot, const std::vector<Token>& known) {
  return follows(slot, known, known.size()) ? 0 : 1;
}

bool LlamaDraftHead::read(const std::vector<DraftWish>& wishes, int, const AbortCheck&) {
  for (const DraftWish& wish : wishes) ask(wish.slot);
  return false;
}

void LlamaDraftHead::pass_over(SlotId slot) {
  Followed& followed = followed_[static_cast<size_t>(slot)];
  if (followed.begun && ++followed.passed_over >= kPatience) forget(slot);
}

void LlamaDraftHead::draft(const std::vector<DraftWish>& wishes, const AbortCheck& abort) {
  for (const DraftWish& wish : wishes) {
    ask(wish.slot);
    cut(wish.slot, wish.known->size());  // of guesses that no step came of
    common_speculative_draft_params& params = common_speculative_get_draft_params(speculative_.get(), wish.slot);
    params.drafting = true;
    params.n_max = std::min(wish.most, longest_);
    params.pos0 = static_cast<Position>(wish.known->size());
    params.id_last = wish.last;
    params.prompt = wish.known;
    params.result = wish.draft;
  }
  const Abortable::Call call(abortable_, &abort);
  common_speculative_draft(speculative_.get());
}

/**
 * The rows of the streams that it follows are put together at the front of what the model gave, since llama.cpp takes the rows of a batch for those of the
 * step, one by one. Its first row of a slot has none before it to go with: what is made of that is forgotten at once.
 */
void LlamaDraftHead::computed(const std::vector<ComputedReply>& replies, const AbortCheck& abort) {
  std::vector<const ComputedReply*> taken;
  batch_.n_tokens = 0;
  float* const rows = llama_get_embeddings_nextn(target_);
  const auto room = static_cast<int>(llama_n_batch(context_.get()));
  for (const ComputedReply& reply : replies) {
    const std::vector<Token>& known = *reply.known;
    const size_t before = known.size() - static_cast<size_t>(reply.tokens);
    const bool goes_on = follows(reply.slot, known, before);
    if (!goes_on) forget(reply.slot);
    if (!goes_on && !asked_[static_cast<size_t>(reply.slot)]) continue;
    if (!rows || batch_.n_tokens + reply.tokens > room) {
      forget(reply.slot);
      continue;
    }
    cut(reply.slot, before);
    const int first = batch_.n_tokens;
    for (int i = 0; i < reply.tokens; i++) {
      const float* row = llama_get_embeddings_nextn_ith(target_, static_cast<int32_t>(reply.index) + i);
      if (!row) break;
      std::memmove(rows + static_cast<size_t>(batch_.n_tokens) * width_, row, width_ * sizeof(float));
      const size_t at = before + static_cast<size_t>(i);
      common_batch_add(batch_, known[at], static_cast<Position>(at), {reply.slot}, false);
    }
    if (batch_.n_tokens < first + reply.tokens) {
      batch_.n_tokens = first;
      forget(reply.slot);
      continue;
    }
    taken.push_back(&reply);
  }
  std::fill(asked_.begin(), asked_.end(), false);
  if (!taken.empty()) {
    llama_set_embeddings_nextn(target_, true, false);  // by their places, for the moment
    bool sound;
    {
      const Abortable::Call call(abortable_, &abort);
      sound = common_speculative_process(speculative_.get(), batch_);
    }
    for (const ComputedReply* reply : taken) {
      Followed& followed = followed_[static_cast<size_t>(reply->slot)];
      if (!sound) {
        forget(reply->slot);
      } else if (!followed.begun) {
        forget(reply->slot);
        followed.begun = true;
        followed.from = reply->known->size();
      } else {
        followed.tokens.insert(followed.tokens.end(), reply->known->end() - reply->tokens, reply->known->end());
      }
    }
  }
  tell_rows(std::any_of(followed_.begin(), followed_.end(), [](const Followed& followed) { return followed.begun; }));
}

}  // namespace zse
