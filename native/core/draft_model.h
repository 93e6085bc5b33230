// Owns the border between the scheduler and a smaller model that guesses the next tokens of many streams at once: the draft model. It keeps what it
// has read of each slot, and finds out by itself what of that still holds. Decode thread only.
#pragma once

#include <vector>

#include "decoder.h"
#include "ids.h"

namespace zse {

/** What is to be guessed of one stream. */
struct DraftWish {
  SlotId slot;
  const std::vector<Token>* known;  // what the slot holds: prompt and reply, but for
  Token last;                       // the token that the next step computes
  int most;                         // tokens that are wanted
  std::vector<Token>* draft;        // empty; where they go
};

/** A stream's part of a step that was computed: rows index, index + 1, … of the batch, each with logits. */
struct ComputedReply {
  SlotId slot;
  size_t index;
  int tokens;                       // that were kept
  const std::vector<Token>* known;  // what the slot holds now: they are its last ones
};

class DraftModel {
 public:
  virtual ~DraftModel() = default;

  /** Tokens of what is known that it has to read before it can guess; what it holds and is not known any more is forgotten. */
  virtual int behind(SlotId slot, const std::vector<Token>& known) = 0;

  /**
   * Reads so many tokens of the wishes at most, of the first ones first. False where `abort` ended it, it failed, or it is one that follows the step instead:
   * no harm is done.
   */
  virtual bool read(const std::vector<DraftWish>& wishes, int most, const AbortCheck& abort) = 0;

  /** Tokens of a stream that it may be behind, and still guesses: it reads them in the pass of the first guess. */
  virtual int rides_along() const { return 0; }

  /**
   * Guesses for all that are read, but for those tokens: up to `most` tokens of each, fewer where it is not sure; in as many passes over its weights as the longest draft
   * has tokens. None where it failed.
   */
  virtual void draft(const std::vector<DraftWish>& wishes, const AbortCheck& abort) = 0;

  /** What it keeps of all slots, once they are full. */
  virtual size_t cache_bytes() const { return 0; }

  /** Tokens that it guesses where that does not seem worth it, for a try. */
  virtual int tries() const { return 2; }

  /** It could guess for this slot in this step, and that does not seem worth it. */
  virtual void pass_over(SlotId) {}

  /** A step has been computed, and these are its streams that decode and go on. Whatever it gave is still there. */
  virtual void computed(const std::vector<ComputedReply>&, const AbortCheck&) {}
};

}  // namespace zse
