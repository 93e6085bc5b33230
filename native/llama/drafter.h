// Owns what a stream's next tokens are guessed from: what its caller expects of the reply, and llama.cpp's lookup of what followed the same tokens
// before, in prompt and reply. Decode thread only.
#pragma once

#include <vector>

#include "core/drafter.h"
#include "core/prompt.h"

namespace zse {

class LookupDrafter final : public Drafter {
 public:
  LookupDrafter(const Prompt& prompt, DraftParams params);

  void add(Token token) override;
  DraftSource draft(int most, std::vector<Token>& draft) override;

 private:
  bool follow_prediction();

  const int match_;
  std::vector<Token> history_;  // prompt and reply, but for the last token
  Token last_;
  int replied_ = 0;  // tokens of the reply
  const std::vector<Token> prediction_;
  size_t expected_ = 0;   // of the prediction, the token that comes next
  bool follows_ = true;   // the reply, so far
  bool searched_ = true;  // since the last token, for where in the prediction the reply is
};

}  // namespace zse
