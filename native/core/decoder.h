// Owns the border between scheduling and llama.cpp: what the scheduler needs of a model, and nothing else. The real one is
// llama_decoder; the tests drive the scheduler with a fake. Every call is made on the decode thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "types.h"

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

/** Asked many times during a decode, on the decode thread; true ends it. */
using AbortCheck = std::function<bool()>;

/** The sampling state of one stream: random numbers, penalties. */
class TokenSampler {
 public:
  virtual ~TokenSampler() = default;
};

class Decoder {
 public:
  virtual ~Decoder() = default;

  virtual int max_slots() const = 0;
  virtual int context_size() const = 0;      // tokens per slot
  virtual int max_batch_tokens() const = 0;  // tokens in one decode at most

  virtual DecodeStatus decode(const Batch& batch, const AbortCheck& abort) = 0;

  /** Why the last decode failed, for people. */
  virtual std::string failure() const = 0;

  /** Forgets what a slot holds. */
  virtual void clear_slot(SlotId slot) = 0;

  /** Makes `to` hold the first `tokens` tokens of `from`; false, and nothing done, where the model's memory cannot be cut. */
  virtual bool copy_slot(SlotId from, SlotId to, int tokens) = 0;

  virtual std::unique_ptr<TokenSampler> make_sampler(const SamplingParams& params, const std::vector<Token>& prompt) = 0;

  /** Draws the next token from the logits of batch[index]; nothing when they are not numbers. */
  virtual std::optional<Token> sample(TokenSampler& sampler, size_t index) = 0;

  virtual bool is_end_of_generation(Token token) const = 0;

  /** Appends the bytes of a token to `out` (not necessarily whole code points; nothing for control tokens). */
  virtual void append_piece(Token token, std::string& out) const = 0;
};

}  // namespace zse
