// Finding special tokens: what looking for one after the other in what the others left would find, in linear work.
#include "tokenize/special_tokens.h"

#include <algorithm>
#include <list>
#include <random>
#include <sstream>

#include "base/work_bound.h"
#include "check.h"

namespace {

using zse::SpecialToken;
using zse::SpecialTokens;
using zse::TextPart;

/** One token after the other, each from left to right in each part that is still text. */
std::list<TextPart> reference(const std::vector<SpecialToken>& tokens, const std::string& text, bool with_control) {
  const auto is_space = [&](size_t at) { return std::isspace(static_cast<unsigned char>(text[at])) != 0; };
  std::list<TextPart> parts;
  if (!text.empty()) parts.push_back({TextPart::kText, 0, text.size()});
  for (const SpecialToken& token : tokens) {
    if (token.text.empty() || (token.control && !with_control)) continue;
    for (auto part = parts.begin(); part != parts.end(); ++part) {
      if (part->token != TextPart::kText) continue;
      const size_t first = part->first, last = first + part->length;
      const size_t found = text.substr(0, last).find(token.text, first);
      if (found == std::string::npos) continue;
      size_t left = found, right = found + token.text.size();
      while (token.strips_left && left > first && is_space(left - 1)) left--;
      while (token.strips_right && right < last && is_space(right)) right++;
      if (left > first) parts.insert(part, {TextPart::kText, first, left - first});
      if (right < last) parts.insert(std::next(part), {TextPart::kText, right, last - right});
      *part = {token.id, found, token.text.size()};
    }
  }
  return parts;
}

template <class Parts>
std::string shown(const Parts& parts) {
  std::ostringstream out;
  for (const TextPart& part : parts) out << part.token << ':' << part.first << '+' << part.length << ' ';
  return out.str();
}

std::string random_text(std::mt19937_64& random, size_t most) {
  std::string text;
  for (size_t i = 0, count = random() % (most + 1); i < count; i++) text += "aab< \n>"[random() % 7];
  return text;
}

}  // namespace

TEST("finds the special tokens that looking for one after the other finds") {
  std::mt19937_64 random(check::seed());
  for (int i = 0; i < 20000; i++) {
    std::vector<SpecialToken> tokens;
    for (size_t n = 0, count = random() % 6; n < count; n++) {
      tokens.push_back(
          {static_cast<int32_t>(n), random_text(random, 4), random() % 2 == 0, random() % 3 == 0, random() % 3 == 0});
    }
    // llama.cpp looks for the longest first; nothing here depends on it.
    if (random() % 2 == 0) {
      std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.text.size() > b.text.size(); });
    }
    const std::string text = random_text(random, 24);
    const bool with_control = random() % 2 == 0;
    const SpecialTokens special(tokens);
    const std::string found = shown(special.partition(text, with_control, 1 + random() % 30));
    const std::string wanted = shown(reference(tokens, text, with_control));
    if (found == wanted) continue;
    CHECK_EQ(found, wanted);
    return;
  }
}

TEST("special tokens are found in linear work and bounded memory, however many and however they overlap") {
  std::vector<SpecialToken> tokens;
  for (int32_t length = 200; length > 0; length--)
    tokens.push_back({length, std::string(static_cast<size_t>(length), 'a'), true, false, true});
  for (int32_t n = 0; n < 3000; n++) tokens.push_back({1000 + n, "<unused" + std::to_string(n) + ">", true, false, false});
  const SpecialTokens special(tokens);
  std::string turns, runs(1 << 16, 'a'), almost;
  while (turns.size() < 1 << 20) turns += "<unused" + std::to_string(turns.size() % 3000) + "> ";
  while (almost.size() < 1 << 20) almost += "<unused<unused12";
  for (const std::string* text : {&turns, &runs, &almost}) {
    zse::WorkLimits limits;
    limits.steps = 200 * text->size() / 8;
    zse::WorkBound bound(limits);
    zse::WorkBound::Scope scope(bound);
    try {
      special.partition(*text, true, 1 << 18);
    } catch (const zse::WorkStopped&) {
      check::fail(__FILE__, __LINE__, "takes too long: " + text->substr(0, 20));
    }
  }
}

TEST("more special tokens than there is room for end the search early") {
  const SpecialTokens special({{1, "<|im_end|>", true, false, false}});
  std::string text;
  for (int i = 0; i < 100000; i++) text += "<|im_end|>";
  zse::WorkLimits limits;
  limits.tokens = 4096;
  zse::WorkBound bound(limits);
  zse::WorkBound::Scope scope(bound);
  bool stopped = false;
  try {
    special.partition(text, true);
  } catch (const zse::WorkStopped& end) {
    stopped = end.why == zse::WorkStop::kTokens;
  }
  CHECK(stopped);
  CHECK_EQ(bound.token_count(), 4096u);
}
