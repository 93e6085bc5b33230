// Owns finding special tokens in a text: which parts of it are such tokens and which are left to be split, as llama.cpp's
// tokenizer_st_partition() decides it, in one pass instead of one per token. Made once per vocabulary; constant afterwards, so
// any thread may use it, under its bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenize/word_finder.h"

namespace zse {

struct SpecialToken {
  int32_t id;
  std::string text;
  bool control;                    // only a token where the caller says that such tokens are to be found
  bool strips_left, strips_right;  // takes the whitespace on that side with it
};

/** A part of a text: a special token, or text that is none. */
struct TextPart {
  static constexpr int32_t kText = -1;
  int32_t token;
  size_t first, length;  // of text; in bytes
};

class SpecialTokens {
 public:
  SpecialTokens() = default;

  /** In the order in which they are looked for: what one has taken the next ones do not see. */
  explicit SpecialTokens(std::vector<SpecialToken> tokens);

  /**
   * `most_found` bounds the memory: where more occurrences overlap, the text is gone through several times. While InputRanges are put up
   * for the thread, what they do not allow is text.
   */
  std::vector<TextPart> partition(std::string_view text, bool with_control, size_t most_found = size_t{1} << 21) const;

 private:
  class Partition;
  std::vector<SpecialToken> tokens_;
  WordFinder all_, user_defined_;
};

}  // namespace zse
