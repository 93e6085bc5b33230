// Owns the border between the scheduler and what guesses a stream's next tokens, so that one step may compute several of them. A guess changes how
// soon tokens come, never which. Made by the decoder, one for each stream; decode thread only.
#pragma once

#include <vector>

#include "ids.h"

namespace zse {

/** Where drafted tokens come from. */
enum class DraftSource { kLookup, kPrediction, kModel };
constexpr int kDraftSources = 3;

struct DraftParams {
  int most = 0;                   // tokens that a step checks of it at most; 0: none
  int match = 4;                  // tokens that must have stood there before, so that what followed them is tried
  std::vector<Token> prediction;  // what the caller expects of the reply
};

class Drafter {
 public:
  virtual ~Drafter() = default;

  /** The reply has gone on with this token. */
  virtual void add(Token token) = 0;

  /** Puts up to `most` tokens that may follow into `draft`, which is empty where nothing is known. */
  virtual DraftSource draft(int most, std::vector<Token>& draft) = 0;
};

}  // namespace zse
