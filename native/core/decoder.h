// Owns the border between scheduling and llama.cpp: what the scheduler needs of a model, and nothing else. The real one is
// llama_decoder; the tests drive the scheduler with a fake. Every call is made on the decode thread.
#pragma once

#include <climits>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drafter.h"
#include "ids.h"
#include "logprobs.h"
#include "moved.h"
#include "prompt.h"
#include "request.h"
#include "row_groups.h"

namespace zse {

/** One token of a batch. `output`: the next token will be sampled from its logits. */
struct BatchToken {
  SlotId slot;
  Position position;
  Token token;
  bool output;
};
using Batch = std::vector<BatchToken>;

enum class DecodeStatus {
  kOk,
  kAborted,  // the abort check said so; the KV cache is as it was before the call
  kFailed,   // the backend failed; what the batch's sequences hold in the KV cache is unknown
};

/** Asked many times during a decode, by any of the threads that compute it, by several at the same time; true ends it. */
using AbortCheck = std::function<bool()>;

/** What a slot holds, copied out of the KV cache: bytes that mean something only to the same model in a context of the same settings. */
class SlotImage {
 public:
  explicit SlotImage(size_t size) : bytes_(new uint8_t[size]), size_(size) {}  // not zeroed: it may be hundreds of megabytes
  uint8_t* data() { return bytes_.get(); }
  const uint8_t* data() const { return bytes_.get(); }
  size_t size() const { return size_; }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  size_t size_;
};

/**
 * A copy between a slot and its image, made in pieces so that steps can be computed in between. Until it is complete nothing may change
 * what the slot holds, and nothing but destroying the copy ends it early.
 */
class SlotCopy {
 public:
  explicit SlotCopy(std::shared_ptr<const SlotImage> image) : image_(std::move(image)) {}
  virtual ~SlotCopy() = default;

  /** Copies so many bytes more. True when all are copied. */
  virtual bool advance(size_t bytes) = 0;

  /** Copies until then, or one piece where it is later already. True when all is copied. */
  bool advance_until(Clock::time_point until) {
    constexpr size_t kPieceBytes = size_t{256} << 10;
    do {
      if (advance(kPieceBytes)) return true;
    } while (Clock::now() < until);
    return false;
  }

  /** Copies all that is left. */
  void finish() {
    while (!advance(SIZE_MAX)) continue;
  }

  /** False: what was to be copied in is not made of numbers; the rest was left out, and the slot must be cleared. Known when all is copied. */
  virtual bool sound() const { return true; }

  const std::shared_ptr<const SlotImage>& image() const { return image_; }

 private:
  std::shared_ptr<const SlotImage> image_;
};

/** The sampling state of one stream: random numbers, penalties, what its reply is held to. */
class TokenSampler {
 public:
  virtual ~TokenSampler() = default;
};

/** One token that is wanted of the logits of batch[index], and what came of it: as sample() or, where one is replayed, replay() would have it. */
struct Draw {
  TokenSampler* sampler;
  size_t index;
  std::optional<Token> replayed;
  std::optional<Token> token = {};
  std::exception_ptr failure = {};  // what they would have thrown
};

class Decoder {
 public:
  virtual ~Decoder() = default;

  virtual int max_slots() const = 0;
  virtual int context_size() const = 0;      // tokens per slot
  virtual int max_batch_tokens() const = 0;  // tokens in one decode at most
  /** In what numbers its kernels take a step's tokens: whole groups cost least. */
  virtual RowGroups row_groups() const { return {}; }
  /** Whether a token's logits are the same to the bit whichever other sequences have a token in its step, one each. It may become known, or turn out not to be. */
  virtual bool rows_are_alike() const { return false; }
  virtual int max_outputs() const = 0;  // of these, such that the next one is sampled after; at least one for each slot

  /** Threads that decode() computes on, where their number can be chosen; else 1. */
  virtual int most_threads() const { return 1; }

  /** On how many the next decodes compute: 1 to most_threads(). */
  virtual void use_threads(int) {}

  /** Milliseconds that these threads have had of processors so far, all together. */
  virtual double threads_cpu_ms() const { return 0; }

  /** What the model is changed by in the next decodes. */
  virtual void use_adapters(const std::vector<AdapterScale>&) {}

  virtual DecodeStatus decode(const Batch& batch, const AbortCheck& abort) = 0;

  /** Why the last decode failed, for people. */
  virtual std::string failure() const = 0;

  /** Forgets what a slot holds. */
  virtual void clear_slot(SlotId slot) = 0;

  /** Keeps the first `tokens` tokens of a slot. False, and the slot is empty, where the model's memory cannot be cut there. */
  virtual bool cut_slot(SlotId slot, int tokens) = 0;

  /** Tokens of the last step that can be taken back. Memory that cannot be cut may still have a few of its latest states. */
  virtual int most_taken_back() const { return can_cut() ? INT_MAX : 0; }

  /** Takes the last tokens of the last step back, so that `tokens` are left. False, and the slot is empty, where that could not be. */
  virtual bool take_back(SlotId slot, int tokens) = 0;

  /** False for memory that holds no more than its latest state (recurrent models): a slot is cut at its checkpoints alone. */
  virtual bool can_cut() const = 0;

  /** Tokens of which an image holds all that a sliding attention will look at: one of more tokens is cut at its checkpoints alone. */
  virtual int window() const { return INT_MAX; }

  /** A slot of so many tokens can be cut without a checkpoint so that it keeps at least this many. */
  virtual int cut_from(SlotId, int tokens) const { return can_cut() ? 0 : tokens; }

  /** Bytes of what save_checkpoint() would give; 0 where this memory can be cut anywhere, in images too. */
  virtual size_t checkpoint_bytes(SlotId) const { return 0; }

  /** What a slot holds now of the memory that cannot be cut; null where there is no memory for it. */
  virtual std::shared_ptr<const SlotImage> save_checkpoint(SlotId) { return nullptr; }

  /**
   * Cuts a slot to `tokens` tokens, when it held just which this state was saved. False, and the slot is empty, where it is not of this model and
   * so many tokens: it may come from a file that anybody has written.
   */
  virtual bool cut_slot_at(SlotId slot, int /*tokens*/, const std::shared_ptr<const SlotImage>& /*state*/) {
    clear_slot(slot);
    return false;
  }

  /** Lets an empty slot share the first `tokens` tokens of another at no cost; false, and nothing done, where slots cannot share. */
  virtual bool share_slot(SlotId from, SlotId to, int tokens) = 0;

  /**
   * Cuts a slot to its first `tokens` tokens. These chunks of what it held, which no other slot shares, are kept aside until they are put back: in
   * their order, each when the slot has as many tokens as stand before it then. clear_slot() forgets them.
   */
  virtual void set_aside(SlotId, int /*tokens*/, const MovedChunks&) {}
  virtual void put_back(SlotId, const MovedChunk&) {}
  /** Forgets what is still aside. */
  virtual void drop_aside(SlotId) {}

  /** Bytes of the image that save_slot() would make. */
  virtual size_t image_bytes(SlotId slot) const = 0;

  /** Bytes that no image of a slot exceeds. */
  virtual size_t largest_image() const = 0;

  /** Begins to copy out what a slot holds; null where there is no memory for it. */
  virtual std::unique_ptr<SlotCopy> begin_save(SlotId slot) = 0;

  /**
   * Begins to make a slot hold what was saved. Null, and the slot is empty, where the image is not one of this model and context, or not of so
   * many tokens: it may come from a file that anybody has written.
   */
  virtual std::unique_ptr<SlotCopy> begin_load(SlotId slot, std::shared_ptr<const SlotImage> image, int tokens) = 0;

  /** `parts`: of the same parameters, made by the prompt side; null where there are none. */
  virtual std::unique_ptr<TokenSampler> make_sampler(const SamplingParams& params, const Prompt& prompt,
                                                     std::unique_ptr<SamplerParts> parts) = 0;

  /**
   * Draws the next token from the logits of batch[index]; nothing when they are not numbers. Throws EngineError where what the reply is held to
   * leaves no token, or takes too long to say which.
   */
  virtual std::optional<Token> sample(TokenSampler& sampler, size_t index) = 0;

  /**
   * As sample() of a reply that was lost: the sampler draws, and goes on as if that had been `token`, which was drawn here the first time. Gives
   * what it drew. Throws as sample(), and BAD_OPTION where there is no such token.
   */
  virtual std::optional<Token> replay(TokenSampler& sampler, size_t index, Token token) = 0;

  /** Draws for several streams, each with a sampler of its own; one that fails changes nothing for the others. */
  virtual void draw_all(std::vector<Draw>& draws) {
    for (Draw& one : draws) draw(one);
  }

  /** Null where nothing is drafted for a stream. Drafts are of most_taken_back() tokens at most. */
  virtual std::unique_ptr<Drafter> make_drafter(const Prompt&, DraftParams) { return nullptr; }

  /** Closes the thought that the reply is in: its next tokens are those. Before the first token, the one that it begins with, too; else nothing. */
  virtual void end_reasoning(TokenSampler&) {}

  /** Of a token that nothing stands before: NaN. */
  virtual TokenLogprobs logprobs_of_first(Token token) const = 0;

  /** Of this token in the next place after batch[index], an output; `top`: and of so many of the likeliest there. */
  virtual TokenLogprobs logprobs_at(size_t index, Token token, int top) = 0;

  /** Of the token that this sampler drew last; empty unless its parameters ask for it. */
  virtual TokenLogprobs logprobs(const TokenSampler& sampler) const = 0;

  virtual bool is_end_of_generation(Token token) const = 0;

  /** Appends the bytes of a token to `out` (not necessarily whole code points; nothing for control tokens). */
  virtual void append_piece(Token token, std::string& out) const = 0;

  /** Whether there is such a token: those of a file that somebody has written may be none. */
  virtual bool has_token(Token) const { return true; }

  /** Appends what people can read a token by: its bytes, or its name. */
  void append_name(Token token, std::string& out) const {
    if (!has_token(token)) return;
    const std::string_view name = control_name(token);
    if (name.empty()) append_piece(token, out);
    out += name;
  }

  /** The name of a control token, whose bytes are never shown; empty for others. */
  virtual std::string_view control_name(Token) const { return {}; }

 protected:
  void draw(Draw& one) {
    try {
      one.token = one.replayed ? replay(*one.sampler, one.index, *one.replayed) : sample(*one.sampler, one.index);
    } catch (...) {
      one.failure = std::current_exception();
    }
  }
};

}  // namespace zse
