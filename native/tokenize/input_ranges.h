// Owns which bytes of a text that is being tokenized were written by others than its template, and which special tokens may not be read
// there. The text's owner puts it up for its thread; SpecialTokens heeds it. Nobody else is concerned. Any thread, one text at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace zse {

/** Where the text of a special token stands for the token. The template's own bytes always do. */
enum class TokenRight : uint8_t {
  kAnywhere,      // words that a vocabulary has as one token: runs of spaces, say
  kOwnWords,      // also in what an assistant's message says, since the model may have written it there
  kTemplateOnly,  // control tokens: nobody but the template ends a turn
};

/** Bytes that did not come from the template. */
struct InputRange {
  size_t begin = 0, end = 0;
  bool own = false;  // said by the model, or by who says that it did
};

class InputRanges {
 public:
  /** `ranges` in order, without overlaps; `rights` by token id. Both must outlive this. */
  InputRanges(const std::vector<InputRange>& ranges, const std::vector<TokenRight>& rights)
      : ranges_(ranges), rights_(rights) {}

  /** Whether the bytes from `begin` to `end` may be this token. */
  bool allow(int32_t token, size_t begin, size_t end) const {
    const TokenRight right = rights_[static_cast<size_t>(token)];
    if (right == TokenRight::kAnywhere) return true;
    auto range =
        std::lower_bound(ranges_.begin(), ranges_.end(), end, [](const InputRange& r, size_t at) { return r.begin < at; });
    while (range != ranges_.begin() && (--range)->end > begin) {
      if (right == TokenRight::kTemplateOnly || !range->own) return false;
    }
    return true;
  }

  static const InputRanges* current() { return current_; }

  /** The thread tokenizes that text while this lives; none: a text that is all its author's. */
  class Scope {
   public:
    explicit Scope(const InputRanges* ranges) : before_(std::exchange(current_, ranges)) {}
    ~Scope() { current_ = before_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const InputRanges* before_;
  };

 private:
  static inline thread_local const InputRanges* current_ = nullptr;

  const std::vector<InputRange>& ranges_;
  const std::vector<TokenRight>& rights_;
};

}  // namespace zse
