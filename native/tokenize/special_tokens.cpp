#include "tokenize/special_tokens.h"

#include <utility>

#include "base/work_bound.h"
#include "tokenize/input_ranges.h"

namespace zse {

namespace {

constexpr size_t kBytesPerStep = 256;

bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

}  // namespace

/** Which bytes of one text are taken. */
class SpecialTokens::Partition {
 public:
  Partition(const std::vector<SpecialToken>& tokens, std::string_view text)
      : tokens_(tokens), text_(text), owner_(text.size(), kFree) {}

  /** Calls found(number, end) for what lies in free bytes alone, where such a token may be read. */
  template <class Found>
  void find_free(const WordFinder& finder, Found found) const {
    for (size_t at = 0; at < text_.size(); at++) {
      const size_t first = at;
      while (at < text_.size() && owner_[at] == kFree) at++;
      if (at == first) continue;
      finder.find(text_.substr(first, at - first), [&](uint32_t number, size_t length) {
        const size_t end = first + length;
        const SpecialToken& token = tokens_[number];
        if (!input_ || input_->allow(token.id, end - token.text.size(), end)) found(number, end);
      });
    }
  }

  /** Takes the occurrences of a token, given by their ends in order, that are wholly free when their turn comes. */
  void take(uint32_t number, const uint32_t* ends, size_t count) {
    const SpecialToken& token = tokens_[number];
    const size_t length = token.text.size();
    size_t from = 0;
    for (size_t i = 0; i < count; i++) {
      const size_t last = ends[i];
      size_t first = last - length;
      if (first < from) continue;
      work_step(static_cast<uint32_t>(1 + length / kBytesPerStep));
      size_t at = last;
      while (at > first && owner_[at - 1] == kFree) at--;
      if (at > first) {
        from = at;  // what is taken there is in the way of all that begin before it
        continue;
      }
      from = last;
      for (at = first; at < last; at++) owner_[at] = kTaken;
      owner_[first] = number;
      if (token.strips_left) {
        while (first > 0 && owner_[first - 1] == kFree && is_space(text_[first - 1])) owner_[--first] = kTaken;
      }
      if (token.strips_right) {
        while (from < text_.size() && owner_[from] == kFree && is_space(text_[from])) owner_[from++] = kTaken;
      }
      work_tokens(++taken_);
    }
  }

  std::vector<TextPart> parts() const {
    std::vector<TextPart> parts;
    for (size_t at = 0; at < text_.size();) {
      work_step();
      if (owner_[at] == kFree) {
        const size_t first = at;
        while (at < text_.size() && owner_[at] == kFree) at++;
        parts.push_back({TextPart::kText, first, at - first});
      } else if (owner_[at] == kTaken) {
        at++;
      } else {
        const SpecialToken& token = tokens_[owner_[at]];
        parts.push_back({token.id, at, token.text.size()});
        at += token.text.size();
      }
    }
    return parts;
  }

 private:
  static constexpr uint32_t kFree = 0xFFFFFFFF, kTaken = 0xFFFFFFFE;  // otherwise a token begins there

  const std::vector<SpecialToken>& tokens_;
  const std::string_view text_;
  const InputRanges* const input_ = InputRanges::current();
  std::vector<uint32_t> owner_;
  size_t taken_ = 0;
};

SpecialTokens::SpecialTokens(std::vector<SpecialToken> tokens) : tokens_(std::move(tokens)) {
  for (uint32_t number = 0; number < tokens_.size(); number++) {
    all_.add(tokens_[number].text, number);
    if (!tokens_[number].control) user_defined_.add(tokens_[number].text, number);
  }
  all_.finish();
  user_defined_.finish();
}

std::vector<TextPart> SpecialTokens::partition(std::string_view text, bool with_control, size_t most_found) const {
  const WordFinder& finder = with_control ? all_ : user_defined_;
  if (finder.empty() && !text.empty()) return {{TextPart::kText, 0, text.size()}};

  Partition partition(tokens_, text);
  for (uint32_t first = 0; first < tokens_.size();) {
    // As many tokens at once as may be remembered, one at least. What is taken by then has no occurrences any more.
    std::vector<size_t> counts(tokens_.size());
    bool any = false;
    partition.find_free(finder, [&](uint32_t number, size_t) {
      counts[number]++;
      any = true;
    });
    if (!any) break;
    std::vector<size_t> begins = {0};
    uint32_t last = first;
    do begins.push_back(begins.back() + counts[last++]);
    while (last < counts.size() && begins.back() + counts[last] <= most_found);

    std::vector<uint32_t> ends(begins.back());
    std::vector<size_t> next = begins;
    partition.find_free(finder, [&](uint32_t number, size_t end) {
      if (number < last) ends[next[number - first]++] = static_cast<uint32_t>(end);
    });
    for (uint32_t number = first; number < last; number++) {
      partition.take(number, ends.data() + begins[number - first], counts[number]);
    }
    first = last;
  }
  return partition.parts();
}

}  // namespace zse
