#include "llama_draft_model.h"

#include <algorithm>
#include <exception>
#include <utility>

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

// Of a text that is new to it, so many last tokens are read, whatever its length: guesses need what stands near, and each token that is read delays
// the reply. Of what stands far away, lookup copies.
constexpr size_t kReach = 512;

// Many models put much of their attention on the first tokens of a text, whatever these are, and are at a loss without any.
constexpr size_t kFirst = 4;

// A token that it gives less is not likely to come, and ends a draft.
constexpr float kLeastProbability = 0.25f;

constexpr int kLongestDraft = 64;
constexpr uint32_t kBatchTokens = 256;

// Of a slot, tokens that are read in the pass of the first guess: those cost next to nothing there.
constexpr int kRidesAlong = 4;

EngineError unsupported(const Model& model, const std::string& reason) {
  return EngineError("UNSUPPORTED", "\"" + model.info().path + "\" cannot be the draft model of this model: " + reason);
}

}  // namespace

LlamaDraftModel::LlamaDraftModel(std::shared_ptr<const Model> model, const Model& target_model, const LlamaDecoder& target)
    : model_(std::move(model)),
      vocabulary_(model_->info().vocabulary_size),
      target_vocabulary_(target_model.info().vocabulary_size) {
  const ModelInfo& info = model_->info();
  if (!info.generates) throw unsupported(*model_, "it is an encoder");
  if (llama_model_is_recurrent(model_->get()) || llama_model_is_hybrid(model_->get())) {
    throw unsupported(*model_, "its memory (architecture \"" + info.architecture +
                                   "\") cannot take guesses back; take one of attention alone");
  }
  const int streams = target.max_slots();
  const int trained = info.trained_context_size > 0 ? info.trained_context_size : target.context_size();
  const int context_size = std::min(target.context_size(), trained);
  context_size_ = static_cast<size_t>(context_size);
  reach_ = std::max<size_t>(1, std::min(kReach, context_size_ / 4));
  longest_ = std::max(1, std::min(kLongestDraft, context_size / 4));
  held_.resize(static_cast<size_t>(streams));

  llama_context_params params = context_params(context_size, streams, 0, "f16");
  params.n_batch = params.n_ubatch = std::max(kBatchTokens, static_cast<uint32_t>(streams));
  params.n_outputs_max = static_cast<uint32_t>(streams);
  params.swa_full = true;  // guesses are taken back
  params.n_threads = params.n_threads_batch = target_model.info().threads;
  abortable_.install(params);
  clear_logged_errors();
  const AbortGuard guard(AbortBlame::kFile);
  context_.reset(llama_init_from_model(model_->get(), params));
  if (!context_) {
    const std::string reason = guard.reason().empty() ? logged_errors() : guard.reason();
    throw EngineError("ENGINE_FAILED", "no context could be made for the draft model \"" + info.path + "\"" +
                                           (reason.empty() ? "" : ": " + reason) +
                                           "; try a smaller contextSize or fewer maxStreams");
  }
  if (target.threads()) llama_attach_threadpool(context_.get(), target.threads().get(), target.threads().get());

  common_params_speculative wanted;
  wanted.types = {COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE};
  wanted.draft.n_max = longest_;
  wanted.draft.p_min = kLeastProbability;
  wanted.draft.ctx_tgt = target.context();
  wanted.draft.ctx_dft = context_.get();
  try {
    speculative_.reset(common_speculative_init(wanted, static_cast<uint32_t>(streams)));
  } catch (const std::exception&) {
    throw unsupported(*model_, "its vocabulary is another one; take a smaller model of the same family");
  }
  batch_ = llama_batch_init(static_cast<int32_t>(params.n_batch), 0, 1);
}

LlamaDraftModel::~LlamaDraftModel() { llama_batch_free(batch_); }

size_t LlamaDraftModel::cache_bytes() const { return bytes_kept(context_.get()); }

/** Tokens of a text that it reads, those that it has read among them. */
size_t LlamaDraftModel::count(const Held& held, const std::vector<Token>& known) const {
  return std::min(known.size(), kFirst) + (known.size() > held.from ? known.size() - held.from : 0);
}

Token LlamaDraftModel::token(const Held& held, const std::vector<Token>& known, size_t index) const {
  return readable(known[index < kFirst ? index : held.from + index - kFirst]);
}

void LlamaDraftModel::cut(SlotId slot, size_t tokens) {
  Held& held = held_[static_cast<size_t>(slot)];
  const auto memory = llama_get_memory(context_.get());
  if (tokens == 0 || !llama_memory_seq_rm(memory, slot, static_cast<Position>(tokens), -1)) {
    llama_memory_seq_rm(memory, slot, -1, -1);
    tokens = 0;
  }
  held.tokens.resize(std::min(held.tokens.size(), tokens));
}

int LlamaDraftModel::behind(SlotId slot, const std::vector<Token>& known) {
  Held& held = held_[static_cast<size_t>(slot)];
  const size_t all = known.size() < held.from ? 0 : count(held, known);
  size_t same = 0;
  while (same < std::min(held.tokens.size(), all) && held.tokens[same] == token(held, known, same)) same++;
  if (same < held.tokens.size()) cut(slot, same);
  same = held.tokens.size();
  if (same == 0 || all - same > reach_ || all + static_cast<size_t>(longest_) >= context_size_) {
    if (!held.tokens.empty() || same > 0) cut(slot, 0);
    held.from = std::max(kFirst, known.size() - std::min(known.size(), reach_));
    same = 0;
  }
  return static_cast<int>(count(held, known) - same);
}

bool LlamaDraftModel::read(const std::vector<DraftWish>& wishes, int most, const AbortCheck& abort) {
  const int room = static_cast<int>(llama_n_batch(context_.get()));
  std::vector<size_t> ends;  // of what each slot holds when the batch is computed
  size_t next = 0;           // of the wishes, the one that is read
  const Abortable::Call call(abortable_, &abort);
  bool sound = true;
  while (sound && most > 0 && next < wishes.size()) {
    batch_.n_tokens = 0;
    const size_t first = next;
    ends.clear();
    while (next < wishes.size() && most > 0 && batch_.n_tokens < room) {
      const DraftWish& wish = wishes[next];
      const Held& held = held_[static_cast<size_t>(wish.slot)];
      const size_t from = held.tokens.size(), all = count(held, *wish.known);
      const size_t end = std::min(all, from + static_cast<size_t>(std::min(most, room - batch_.n_tokens)));
      for (size_t i = from; i < end; i++) {
        common_batch_add(batch_, token(held, *wish.known, i), static_cast<Position>(i), {wish.slot}, false);
      }
      most -= static_cast<int>(end - from);
      ends.push_back(end);
      if (end < all) break;
      next++;
    }
    sound = batch_.n_tokens > 0 && common_speculative_process(speculative_.get(), batch_);
    for (size_t i = 0; i < ends.size(); i++) {
      const DraftWish& wish = wishes[first + i];
      Held& held = held_[static_cast<size_t>(wish.slot)];
      if (!sound) {
        cut(wish.slot, held.tokens.size());
        continue;
      }
      for (size_t k = held.tokens.size(); k < ends[i]; k++) held.tokens.push_back(token(held, *wish.known, k));
    }
  }
  return sound;
}

/** All slots' first guesses are one batch. */
int LlamaDraftModel::rides_along() const {
  return std::min(kRidesAlong, static_cast<int>(llama_n_batch(context_.get())) / static_cast<int>(held_.size()) - 1);
}

void LlamaDraftModel::draft(const std::vector<DraftWish>& wishes, const AbortCheck& abort) {
  std::vector<std::vector<Token>> unread;  // of each wish
  for (const DraftWish& wish : wishes) {
    const Held& held = held_[static_cast<size_t>(wish.slot)];
    const size_t all = count(held, *wish.known);
    unread.emplace_back();
    for (size_t i = held.tokens.size(); i < all; i++) unread.back().push_back(token(held, *wish.known, i));
  }
  for (size_t i = 0; i < wishes.size(); i++) {
    const DraftWish& wish = wishes[i];
    common_speculative_draft_params& params = common_speculative_get_draft_params(speculative_.get(), wish.slot);
    params.drafting = true;
    params.n_max = std::min(wish.most, longest_);
    params.before = unread[i].data();
    params.n_before = static_cast<int32_t>(unread[i].size());
    params.pos0 = static_cast<Position>(held_[static_cast<size_t>(wish.slot)].tokens.size() + unread[i].size());
    params.id_last = readable(wish.last);
    params.prompt = wish.known;
    params.result = wish.draft;
  }
  {
    const Abortable::Call call(abortable_, &abort);
    common_speculative_draft(speculative_.get());
  }
  // Its memory says what it has read of its own guesses; where it failed, what that is is not known.
  for (size_t k = 0; k < wishes.size(); k++) {
    const DraftWish& wish = wishes[k];
    Held& held = held_[static_cast<size_t>(wish.slot)];
    const Position end = llama_memory_seq_pos_max(llama_get_memory(context_.get()), wish.slot) + 1;
    const size_t before = held.tokens.size() + unread[k].size(), after = static_cast<size_t>(std::max(0, end));
    if (after <= before || after > before + 1 + wish.draft->size()) {
      cut(wish.slot, 0);
      wish.draft->clear();
      continue;
    }
    held.tokens.insert(held.tokens.end(), unread[k].begin(), unread[k].end());
    held.tokens.push_back(readable(wish.last));
    for (size_t i = 0; held.tokens.size() < after; i++) held.tokens.push_back((*wish.draft)[i]);
    const auto strange = [this](Token token) { return token >= target_vocabulary_; };
    wish.draft->erase(std::find_if(wish.draft->begin(), wish.draft->end(), strange), wish.draft->end());
  }
}

}  // namespace zse
