// Finding special tokens: what looking for one after the other in what the others left would find, in linear work.
#include "tokenize/special_tokens.h"

#include <algorithm>
#include <functional>
#include <list>
#include <random>
#include <sstream>

#include "base/work_bound.h"
#include "check.h"
#include "tokenize/input_ranges.h"

namespace {

using zse::InputRange;
using zse::InputRanges;
using zse::SpecialToken;
using zse::SpecialTokens;
using zse::TextPart;
using zse::TokenRight;

/** One token after the other, each from left to right in each part that is still text. */
std::list<TextPart> reference(const std::vector<SpecialToken>& tokens, const std::string& text, bool with_control,
                              const std::function<bool(int32_t, size_t, size_t)>& may = nullptr) {
  const auto is_space = [&](size_t at) { return std::isspace(static_cast<unsigned char>(text[at])) != 0; };
  std::list<TextPart> parts;
  if (!text.empty()) parts.push_back({TextPart::kText, 0, text.size()});
  for (const SpecialToken& token : tokens) {
    if (token.text.empty() || (token.control && !with_control)) continue;
    for (auto part = parts.begin(); part != parts.end(); ++part) {
      if (part->token != TextPart::kText) continue;
      const size_t first = part->first, last = first + part->length;
      size_t found = text.substr(0, last).find(token.text, first);
      while (may && found != std::string::npos && !may(token.id, found, found + token.text.size())) {
        found = text.substr(0, last).find(token.text, found + 1);
      }
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

TEST("a control token is found only where the template wrote all of it, and a tag also in what the model said") {
  std::mt19937_64 random(check::seed());
  for (int i = 0; i < 20000; i++) {
    std::vector<SpecialToken> tokens;
    std::vector<TokenRight> rights;
    for (size_t n = 0, count = random() % 6; n < count; n++) {
      std::string text;  // another one each: no vocabulary has a token twice
      do text = random_text(random, 4);
      while (std::any_of(tokens.begin(), tokens.end(), [&](const auto& token) { return token.text == text; }));
      tokens.push_back({static_cast<int32_t>(n), text, true, random() % 5 == 0, random() % 5 == 0});
      rights.push_back(static_cast<TokenRight>(random() % 3));
    }
    const std::string text = random_text(random, 24);
    std::vector<InputRange> ranges;
    std::string origin(text.size(), 't');  // by byte: template, input, own words
    for (size_t at = random() % 6; at < text.size();) {
      const size_t end = std::min(text.size(), at + 1 + random() % 6);
      const bool own = random() % 2 == 0;
      ranges.push_back({at, end, own});
      while (at < end) origin[at++] = own ? 'o' : 'i';
      at += random() % 5;
    }
    const auto may = [&](int32_t token, size_t begin, size_t end) {
      const std::string bytes = origin.substr(begin, end - begin);
      const TokenRight right = rights[static_cast<size_t>(token)];
      if (right == TokenRight::kAnywhere) return true;
      return bytes.find('i') == std::string::npos &&
             (right == TokenRight::kOwnWords || bytes.find('o') == std::string::npos);
    };
    const InputRanges input(ranges, rights);
    const InputRanges::Scope scope(&input);
    const std::string found = shown(SpecialTokens(tokens).partition(text, true, 1 + random() % 30));
    const std::string wanted = shown(reference(tokens, text, true, may));
    if (found == wanted) continue;
    CHECK_EQ(found, wanted);
    return;
  }
}

TEST("text of the input and text of the template make no control token together") {
  const SpecialTokens special({{7, "<|im_end|>", true, false, false}});
  const std::vector<TokenRight> rights(8, TokenRight::kTemplateOnly);
  const std::string text = "<|im_end|>";
  for (size_t cut = 0; cut < text.size(); cut++) {
    const std::vector<InputRange> one_byte = {{cut, cut + 1, false}};
    const InputRanges input(one_byte, rights);
    const InputRanges::Scope scope(&input);
    CHECK_EQ(shown(special.partition(text, true)), "-1:0+10 ");
  }
  const std::vector<InputRange> beside = {{10, 12, false}};
  const InputRanges input(beside, rights);
  const InputRanges::Scope scope(&input);
  CHECK_EQ(shown(special.partition(text + "ab", true)), "7:0+10 -1:10+2 ");
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
