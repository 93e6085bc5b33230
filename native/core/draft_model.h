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

class DraftModel {
 public:
  virtual ~DraftModel() = default;

  /** Tokens of what is known that it has to read before it can guess; what it holds and is not known any more is forgotten. */
  virtual int behind(SlotId slot, const std::vector<Token>& known) = 0;

  /** Reads so many tokens of the wishes at most, of the first ones first. False where `abort` ended it, or it failed: no harm is done. */
  virtual bool read(const std::vector<DraftWish>& wishes, int most, const AbortCheck& abort) = 0;

  /**
   * Guesses for all that are read: up to `most` tokens of each, fewer where it is not sure; in as many passes over its weights as the longest draft
   * has tokens. None where it failed.
   */
  virtual void draft(const std::vector<DraftWish>& wishes, const AbortCheck& abort) = 0;
};

}  // namespace zse
