// Owns the bytes of one reply between the detokenizer and the event queue: it puts code points together that span tokens,
// finds stop strings across token borders, and holds back only what could still become part of one. Pure; decode thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text_search.h"

namespace zse {

class TextAssembler {
 public:
  /** `min_tokens`: no stop string is looked for in the first so many tokens. */
  explicit TextAssembler(std::vector<std::string> stop_strings, int min_tokens = 0);

  struct Output {
    std::string text;                 // valid UTF-8, whole code points; may be empty
    int tokens = 0;                   // tokens whose text is in (or before) it; 0 exactly when text is empty
    std::optional<std::string> stop;  // the stop string that ended the reply; it and what follows it are not in text
  };

  /** Takes the bytes of so many tokens; gives what can be shown now. Not to be called after a stop was reported. */
  Output add(std::string_view piece, int tokens = 1);

  /** Whether this is one of the stop strings, whole: of a control token, whose name is not in the text. */
  bool is_stop(std::string_view name) const;

  /** The reply is over without a stop string: gives what was held back, an unfinished code point as U+FFFD. */
  Output flush();

  /** Bytes held back, at most the longest stop string and three more. */
  size_t held_bytes() const { return pending_.size(); }

 private:
  // One stop string being matched byte by byte with the Knuth-Morris-Pratt automaton: `matched` is the length of the
  // longest suffix of the reply that is a prefix of the string, which is what must be held back for it.
  struct Matcher {
    std::string text;
    Borders borders;
    size_t matched = 0;
    bool advance(char byte);  // true when the whole string has just been seen
  };

  Output emit(size_t bytes);

  std::vector<Matcher> matchers_;
  std::string pending_;     // bytes not yet given out
  int pending_tokens_ = 0;  // tokens taken in since text was last given out
  int unstoppable_;         // tokens still to come that no stop string is looked for in
};

/** Length of the longest prefix of `bytes` that does not end inside a code point (which later bytes might complete). */
size_t complete_utf8_prefix(std::string_view bytes);

/** `bytes` with every maximal invalid part replaced by U+FFFD, as the WHATWG decoder does. */
std::string repair_utf8(std::string_view bytes);

}  // namespace zse
