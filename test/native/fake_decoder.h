// A model without weights: the next token is a hash of everything in the slot, so any token lost, doubled or put into the wrong
// slot changes all text after it. It checks what llama.cpp would not forgive: positions with gaps, outputs that do not exist.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "core/decoder.h"
#include "core/ids.h"
#include "core/request.h"

namespace zse {

struct FakeModel {
  static constexpr Token kEnd = 0;
  static constexpr Token kVocabulary = 60;

  int end_one_in = 40;  // how often the end-of-text token comes; 0: never

  /** What follows a text of these tokens, for every seed its own. */
  Token next(const std::vector<Token>& tokens, uint32_t seed) const {
    uint64_t hash = 1469598103934665603ull ^ seed;
    for (const Token token : tokens) hash = (hash ^ static_cast<uint64_t>(token + 1)) * 1099511628211ull;
    hash ^= hash >> 29;
    if (end_one_in > 0 && hash % end_one_in == 0) return kEnd;
    return 1 + static_cast<Token>((hash >> 8) % (kVocabulary - 1));
  }

  /** Bytes of a token: letters, a space, and halves and thirds of code points that only neighbours can complete. */
  static std::string piece(Token token) {
    if (token == kEnd) return "";
    if (token < 27) return std::string(1, static_cast<char>('a' + token - 1));
    if (token < 40) return " ";
    if (token < 44) return "\xF0\x9F";  // first half of an emoji
    if (token < 48) return "\x98\x80";  // second half
    if (token < 52) return "\xC3";      // first byte of é
    if (token < 56) return "\xA9";      // second byte
    return "stop";
  }

  struct Reply {
    std::string bytes;
    int tokens = 0;
    bool ended = false;  // by the end-of-text token
  };

  /** The reply as it must be, computed without any engine. */
  Reply reply(std::vector<Token> prompt, uint32_t seed, int max_tokens, int context_size) const {
    Reply out;
    while (true) {
      const Token token = next(prompt, seed);
      if (token == kEnd) {
        out.ended = true;
        return out;
      }
      out.bytes += piece(token);
      out.tokens++;
      prompt.push_back(token);
      if ((max_tokens > 0 && out.tokens >= max_tokens) || static_cast<int>(prompt.size()) >= context_size) return out;
    }
  }
};

class FakeDecoder final : public Decoder {
 public:
  FakeDecoder(int slots, int context_size, int max_batch = 64)
      : slots_(slots), context_size_(context_size), max_batch_(max_batch) {}

  FakeModel model;
  int decodes = 0;
  int sleep_us = 0;           // a decode takes at least this long, in pieces between which it asks to be aborted
  int fail_decode = -1;       // the decode that fails
  Token control = -1;         // a token without text that is named "<|control|>"
  bool not_a_number = false;  // logits are not numbers from now on
  bool cuttable = true;
  int states_kept = 0;            // tokens that can be taken back where it is not
  bool cannot_take_back = false;  // nor can these
  int keeps = INT_MAX;            // of a sliding window: an image of more tokens cannot be cut, but at its checkpoints
  bool checkpoints = false;       // whether a slot that cannot be cut can be put back to what it was
  int checkpoints_saved = 0, checkpoints_used = 0;
  bool forget_checkpoints = false;  // none of them is what it says
  int replay_rows = 0;              // of logits, beyond one for each slot
  int draft_wrong_one_in = 0;       // how often a drafted token is not the model's; 0: never
  bool looks_up = true;             // otherwise nothing is drafted but by a draft model
  bool predicts = false;            // what is drafted is what a caller expects of the reply
  int saves = 0, loads = 0;
  size_t tokens_loaded = 0;
  int chunks_moved = 0;
  size_t most_images = 0;         // that were in memory at once
  size_t copy_tokens = SIZE_MAX;  // of an image, in one advance()
  bool load_fails = false;
  bool shares = false;
  bool alike = false;  // rows
  size_t largest_batch = 0;
  Batch last_batch;
  std::vector<Batch> history;  // when recording
  bool record = false;
  std::function<void()> during_decode;  // called inside every decode, before it first asks to be aborted

  int max_slots() const override { return slots_; }
  int context_size() const override { return context_size_; }
  int max_batch_tokens() const override { return max_batch_; }
  int max_outputs() const override { return slots_ + replay_rows; }
  bool rows_are_alike() const override { return alike; }
  std::string failure() const override { return "the fake was told to fail"; }

  DecodeStatus decode(const Batch& batch, const AbortCheck& abort) override {
    CHECK(!batch.empty());
    CHECK(batch.size() <= static_cast<size_t>(max_batch_));
    CHECK(std::count_if(batch.begin(), batch.end(), [](const BatchToken& token) { return token.output; }) <= max_outputs());
    largest_batch = std::max(largest_batch, batch.size());
    if (record) history.push_back(batch);
    last_batch = batch;
    const int number = decodes++;
    if (during_decode) during_decode();
    for (int piece = 0; piece < 4; piece++) {
      if (abort()) return DecodeStatus::kAborted;
      if (sleep_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(sleep_us / 4));
    }
    if (number == fail_decode) return DecodeStatus::kFailed;
    outputs_.assign(batch.size(), {});
    for (size_t i = 0; i < batch.size(); i++) {
      const BatchToken& token = batch[i];
      CHECK(token.slot >= 0 && token.slot < slots_);
      std::vector<Token>& cache = cache_[token.slot];
      CHECK_EQ(token.position, static_cast<Position>(cache.size()));
      cache.push_back(token.token);
      CHECK(static_cast<int>(cache.size()) <= context_size_);
      if (token.output) outputs_[i] = {&cache, cache.size()};
    }
    return DecodeStatus::kOk;
  }

  TokenLogprobs logprobs_of_first(Token token) const override {
    TokenLogprobs told;
    told.chosen.token = token;
    return told;
  }

  TokenLogprobs logprobs_at(size_t index, Token token, int) override {
    REQUIRE(index < outputs_.size() && outputs_[index].cache);
    return logprobs_of_first(token);
  }

  void clear_slot(SlotId slot) override {
    cache_[slot].clear();
    shared_[slot] = 0;
    aside_.erase(slot);
    loaded_[slot] = false;
  }

  bool can_cut() const override { return cuttable; }
  int most_taken_back() const override { return cuttable ? INT_MAX : states_kept; }
  bool take_back(SlotId slot, int tokens) override {
    const int taken = static_cast<int>(cache_[slot].size()) - tokens;
    CHECK(taken >= 0 && taken <= most_taken_back());
    cache_[slot].resize(cannot_take_back ? 0 : static_cast<size_t>(tokens));
    return !cannot_take_back;
  }
  bool cut_slot(SlotId slot, int tokens) override {
    REQUIRE(static_cast<int>(cache_[slot].size()) >= tokens);
    const bool can = cut_from(slot, static_cast<int>(cache_[slot].size())) <= tokens;
    cache_[slot].resize(can ? tokens : 0);
    shared_[slot] = std::min(shared_[slot], cache_[slot].size());
    return can;
  }

  int window() const override { return keeps; }
  int cut_from(SlotId slot, int tokens) const override {
    const auto found = loaded_.find(slot);
    const bool lost = found != loaded_.end() && found->second;
    return cuttable && !lost ? 0 : tokens;
  }
  /** The tokens themselves: a state that is put back into another slot, or at another place, changes the text. */
  size_t checkpoint_bytes(SlotId slot) const override {
    const auto found = cache_.find(slot);
    return checkpoints && found != cache_.end() ? found->second.size() * sizeof(Token) : 0;
  }
  std::shared_ptr<const SlotImage> save_checkpoint(SlotId slot) override {
    checkpoints_saved++;
    const std::vector<Token>& cache = cache_[slot];
    auto state = std::make_shared<SlotImage>(cache.size() * sizeof(Token));
    std::memcpy(state->data(), cache.data(), state->size());
    return state;
  }
  bool cut_slot_at(SlotId slot, int tokens, const std::shared_ptr<const SlotImage>& state) override {
    checkpoints_used++;
    std::vector<Token>& cache = cache_[slot];
    CHECK(static_cast<int>(cache.size()) >= tokens);
    const size_t bytes = static_cast<size_t>(tokens) * sizeof(Token);
    const bool of_slot = state->size() == bytes && std::memcmp(cache.data(), state->data(), bytes) == 0;
    cache.resize(of_slot && !forget_checkpoints ? static_cast<size_t>(tokens) : 0);
    return !cache.empty();
  }

  bool share_slot(SlotId from, SlotId to, int tokens) override {
    if (!shares || !cuttable) return false;
    CHECK(cache_[to].empty());
    REQUIRE(static_cast<int>(cache_[from].size()) >= tokens);
    cache_[to].assign(cache_[from].begin(), cache_[from].begin() + tokens);
    shared_[to] = shared_[from] = std::max(shared_[from], static_cast<size_t>(tokens));
    return true;
  }

  void set_aside(SlotId slot, int tokens, const MovedChunks& chunks) override {
    CHECK(aside_[slot].empty());
    Position behind = tokens;
    std::vector<bool> taken(cache_[slot].size());
    for (const MovedChunk& chunk : chunks) {
      CHECK(chunk.tokens > 0 && chunk.at >= behind);
      behind = chunk.at + chunk.tokens;
      REQUIRE(static_cast<size_t>(chunk.from + chunk.tokens) <= cache_[slot].size());
      CHECK(static_cast<size_t>(chunk.from) >= std::max(shared_[slot], static_cast<size_t>(tokens)));
      for (int i = 0; i < chunk.tokens; i++) {
        CHECK(!taken[static_cast<size_t>(chunk.from + i)]);
        taken[static_cast<size_t>(chunk.from + i)] = true;
      }
      const auto begin = cache_[slot].begin() + chunk.from;
      aside_[slot].emplace_back(chunk.at, std::vector<Token>(begin, begin + chunk.tokens));
    }
    cache_[slot].resize(static_cast<size_t>(tokens));
    shared_[slot] = std::min(shared_[slot], static_cast<size_t>(tokens));
  }
  void put_back(SlotId slot, const MovedChunk& chunk) override {
    auto& waiting = aside_[slot];
    REQUIRE(!waiting.empty());
    CHECK_EQ(waiting.front().first, chunk.at);
    CHECK_EQ(chunk.at, static_cast<Position>(cache_[slot].size()));
    CHECK_EQ(waiting.front().second.size(), static_cast<size_t>(chunk.tokens));
    cache_[slot].insert(cache_[slot].end(), waiting.front().second.begin(), waiting.front().second.end());
    waiting.erase(waiting.begin());
    chunks_moved++;
  }
  void drop_aside(SlotId slot) override { aside_.erase(slot); }
  bool nothing_aside() const {
    return std::all_of(aside_.begin(), aside_.end(), [](const auto& entry) { return entry.second.empty(); });
  }

  /** Four bytes a token, as many again of padding, so that an image is larger than its tokens. */
  size_t image_bytes(SlotId slot) const override {
    const auto found = cache_.find(slot);
    return found == cache_.end() ? 0 : found->second.size() * 2 * sizeof(Token);
  }
  std::unique_ptr<SlotCopy> begin_save(SlotId slot) override {
    saves++;
    auto image = std::make_shared<SlotImage>(image_bytes(slot));
    std::fill(image->data(), image->data() + image->size(), uint8_t{0});
    uint8_t* const out = image->data();
    images_.push_back(image);
    size_t alive = 0;
    for (const auto& other : images_) alive += other.expired() ? 0 : 1;
    most_images = std::max(most_images, alive);
    return std::make_unique<Copy>(image, copy_tokens, [this, slot, out](size_t from, size_t to) {
      REQUIRE(cache_[slot].size() >= to);
      std::memcpy(out + from * sizeof(Token), cache_[slot].data() + from, (to - from) * sizeof(Token));
    });
  }
  size_t largest_image() const override { return static_cast<size_t>(context_size_) * 2 * sizeof(Token); }
  std::unique_ptr<SlotCopy> begin_load(SlotId slot, std::shared_ptr<const SlotImage> image, int tokens) override {
    loads++;
    cache_[slot].clear();
    shared_[slot] = 0;
    loaded_[slot] = tokens > keeps;
    if (load_fails || image->size() != static_cast<size_t>(tokens) * 2 * sizeof(Token)) return nullptr;
    cache_[slot].assign(image->size() / 2 / sizeof(Token), Token{-1});
    const uint8_t* const in = image->data();
    return std::make_unique<Copy>(image, copy_tokens, [this, slot, in](size_t from, size_t to) {
      REQUIRE(cache_[slot].size() >= to);
      tokens_loaded += to - from;
      std::memcpy(cache_[slot].data() + from, in + from * sizeof(Token), (to - from) * sizeof(Token));
    });
  }

  std::unique_ptr<TokenSampler> make_sampler(const SamplingParams& params, const Prompt&,
                                             std::unique_ptr<SamplerParts>) override {
    last_seed_ = params.seed;
    return std::make_unique<Sampler>(params.seed);
  }

  /** Of the stream whose sampler was just made. */
  std::unique_ptr<Drafter> make_drafter(const Prompt& prompt, DraftParams) override {
    if (most_taken_back() == 0) return nullptr;
    seeds_.emplace_back(prompt.tokens(), last_seed_);
    return std::make_unique<Guesser>(*this, prompt.tokens(), last_seed_);
  }

  /** Of the last stream whose text began so: a guess, where several had the same prompt. */
  uint32_t seed_of(const std::vector<Token>& known) const {
    for (auto i = seeds_.rbegin(); i != seeds_.rend(); ++i) {
      const auto& [prompt, seed] = *i;
      if (prompt.size() <= known.size() && std::equal(prompt.begin(), prompt.end(), known.begin())) return seed;
    }
    return 0;
  }

  std::optional<Token> sample(TokenSampler& sampler, size_t index) override {
    REQUIRE(index < outputs_.size() && outputs_[index].cache);
    if (not_a_number) return {};
    auto& drawing = static_cast<Sampler&>(sampler);
    const auto [cache, size] = outputs_[index];
    REQUIRE(cache->size() >= size);
    drawing.last = model.next({cache->begin(), cache->begin() + static_cast<std::ptrdiff_t>(size)}, drawing.seed);
    return drawing.last;
  }

  std::optional<Token> replay(TokenSampler& sampler, size_t index, Token token) override {
    const std::optional<Token> drawn = sample(sampler, index);
    if (drawn) static_cast<Sampler&>(sampler).last = token;
    return drawn;
  }

  /** A token's is minus its id. */
  TokenLogprobs logprobs(const TokenSampler& sampler) const override {
    const Token token = static_cast<const Sampler&>(sampler).last;
    TokenLogprob one{token, {}, {}, static_cast<float>(-token)};
    append_piece(token, one.bytes);
    return {one, {one}};
  }

  bool is_end_of_generation(Token token) const override { return token == FakeModel::kEnd; }
  void append_piece(Token token, std::string& out) const override {
    if (token != control) out += FakeModel::piece(token);
  }
  std::string_view control_name(Token token) const override { return token == control ? "<|control|>" : ""; }

  int filled_slots() const {
    return static_cast<int>(
        std::count_if(cache_.begin(), cache_.end(), [](const auto& entry) { return !entry.second.empty(); }));
  }
  bool all_slots_empty() const {
    for (const auto& [slot, cache] : cache_) {
      if (!cache.empty()) return false;
    }
    return true;
  }

 private:
  struct Sampler : TokenSampler {
    explicit Sampler(uint32_t s) : seed(s) {}
    uint32_t seed;
    Token last = -1;
  };

  /** Knows what the model will say, and errs now and then. */
  class Guesser final : public Drafter {
   public:
    Guesser(const FakeDecoder& decoder, std::vector<Token> tokens, uint32_t seed)
        : decoder_(decoder), tokens_(std::move(tokens)), seed_(seed) {}

    void add(Token token) override { tokens_.push_back(token); }
    DraftSource draft(int most, std::vector<Token>& draft) override {
      draft.clear();
      if (!decoder_.looks_up) return DraftSource::kLookup;
      std::vector<Token> text = tokens_;
      while (static_cast<int>(draft.size()) < most) {
        Token token = decoder_.model.next(text, seed_);
        const int wrong = decoder_.draft_wrong_one_in;
        if (wrong > 0 && (text.size() + seed_) % static_cast<size_t>(wrong) == 0)
          token = 1 + token % (FakeModel::kVocabulary - 1);
        draft.push_back(token);
        text.push_back(token);
      }
      return decoder_.predicts ? DraftSource::kPrediction : DraftSource::kLookup;
    }

   private:
    const FakeDecoder& decoder_;
    std::vector<Token> tokens_;
    const uint32_t seed_;
  };

  /** Reads and writes the slot when it advances, so that whatever changed it meanwhile shows in the text. */
  class Copy final : public SlotCopy {
   public:
    Copy(std::shared_ptr<const SlotImage> image, size_t at_once, std::function<void(size_t, size_t)> copy)
        : SlotCopy(std::move(image)), at_once_(at_once), copy_(std::move(copy)) {}

    bool advance(size_t) override {
      const size_t all = image()->size() / 2 / sizeof(Token), from = done_;
      done_ += std::min(at_once_, all - from);
      if (done_ > from) copy_(from, done_);
      return done_ == all;
    }

   private:
    const size_t at_once_;
    const std::function<void(size_t, size_t)> copy_;
    size_t done_ = 0;
  };

  const int slots_, context_size_, max_batch_;
  uint32_t last_seed_ = 0;
  std::vector<std::pair<std::vector<Token>, uint32_t>> seeds_;  // of streams that draft, by their prompts
  std::map<SlotId, std::vector<Token>> cache_;
  std::map<SlotId, size_t> shared_;  // of its tokens, those whose cells another slot may have
  std::map<SlotId, std::vector<std::pair<Position, std::vector<Token>>>> aside_;  // chunks and their places
  std::map<SlotId, bool> loaded_;  // with an image that has let go of what a window does not see
  std::vector<std::weak_ptr<const SlotImage>> images_;
  struct Row {
    const std::vector<Token>* cache = nullptr;  // null: not an output
    size_t size = 0;                            // of it, when the row was computed
  };
  std::vector<Row> outputs_;
};

}  // namespace zse
