// Splitting by the expressions of llama.cpp's pre-tokenizers: what std::regex finds, without its recursion and in linear work. The
// expressions are read out of llama.cpp's source, so that those of a new version are tried too.
#if defined(__GNUC__) && !defined(__clang__)
// GCC's own <regex>, under sanitizers: a warning about its inside.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "tokenize/splitter.h"

#include <algorithm>
#include <fstream>
#include <random>
#include <regex>
#include <set>
#include <sstream>

#include "base/work_bound.h"
#include "check.h"
#include "tokenize/utf8.h"

namespace {

using Words = std::vector<size_t>;

/** These llama.cpp splits by code of its own (unicode_regex_split_custom), as its std::regex cannot read them. */
const std::set<std::string> kByHand = {"\\p{Han}+", "\\p{AFMoE_digits}", "\\d{1,3}(?=(?:\\d{3})*\\b)"};

/** Reads C++ string literals from `at` to the end of the braces. */
void read_literals(const std::string& source, size_t at, std::set<std::string>& found) {
  for (; source[at] != '}'; at++) {
    if (source.compare(at, 2, "//") == 0) at = source.find('\n', at);
    if (source[at] != '"') continue;
    std::string text;
    for (at++; source[at] != '"'; at++) {
      if (source[at] != '\\') {
        text += source[at];
        continue;
      }
      const char escaped = source[++at];
      text += escaped == 'r' ? '\r' : escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped;
    }
    found.insert(text);
  }
}

const std::set<std::string>& expressions() {
  static const std::set<std::string> all = [] {
    std::ifstream file(ZSE_LLAMA_SOURCE "/src/llama-vocab.cpp");
    std::stringstream text;
    text << file.rdbuf();
    const std::string source = text.str(), opening = "regex_exprs = {";
    std::set<std::string> found;
    for (size_t at = 0; (at = source.find(opening, at)) != std::string::npos;)
      read_literals(source, at += opening.size(), found);
    return found;
  }();
  return all;
}

/** A category as llama.cpp writes it into the expression that it gives to std::regex. */
std::string category(const std::string& name) {
  switch (name[0]) {
    case 'N':
      return "\xD1"
             "0-9";
    case 'L':
      return "\xD2"
             "A-Za-z";
    case 'P':
      return "\xD3"
             "!-#%-*,-/:-;?-@\\[-\\]_\\{\\}";
    case 'M': return "\xD4";
    default:
      return "\xD5"
             "\\$\\+<->^`\\|\\~";
  }
}

std::string with_categories(const std::string& expression) {
  std::string result;
  bool inside = false;
  for (size_t i = 0; i < expression.size(); i++) {
    if (expression.compare(i, 3, "\\p{") == 0) {
      const size_t end = expression.find('}', i);
      const std::string bytes = category(expression.substr(i + 3, end - i - 3));
      result += inside ? bytes : "[" + bytes + "]";
      i = end;
      continue;
    }
    const bool escaped = i > 0 && expression[i - 1] == '\\';
    if (expression[i] == '[' && !escaped) inside = true;
    if (expression[i] == ']' && !escaped) inside = false;
    result += expression[i];
  }
  return result;
}

/** What std::regex makes of the pieces of a text. */
template <class Character>
Words reference(const std::basic_regex<Character>& expression, const std::basic_string<Character>& text,
                const Words& pieces) {
  Words words;
  auto first = text.begin();
  for (const size_t length : pieces) {
    auto done = first;
    const auto last = first + static_cast<std::ptrdiff_t>(length);
    for (std::regex_iterator<typename std::basic_string<Character>::const_iterator> at(first, last, expression), end;
         at != end; ++at) {
      const auto& match = (*at)[0];
      if (match.first > done) words.push_back(static_cast<size_t>(match.first - done));
      words.push_back(static_cast<size_t>(match.length()));
      done = match.second;
    }
    if (done < last) words.push_back(static_cast<size_t>(last - done));
    first = last;
  }
  return words;
}

/** Characters of every kind, as they reach the splitter. Most are there once; those that expressions name, too. */
std::vector<uint32_t> alphabet(const zse::Splitter& splitter) {
  std::vector<uint32_t> characters;
  if (splitter.by_category()) {
    for (uint32_t byte = 0xD0; byte <= 0xD5; byte++) characters.push_back(byte);
  } else {
    for (const uint32_t character : {0xA0u,   0xB5u,   0xDFu,   0x301u,  0x3B1u,  0x416u,  0x5D0u,   0x661u,   0x6D4u,
                                     0xC0Cu,  0xE01u,  0x1100u, 0x2026u, 0x3001u, 0x3042u, 0x30ABu,  0x3131u,  0x3105u,
                                     0x4E2Du, 0x9FA5u, 0xAC00u, 0xD7FFu, 0xFF0Cu, 0xFFFDu, 0x10400u, 0x1F600u, 0x1FFFFFu}) {
      characters.push_back(character);
    }
  }
  for (uint32_t character = 1; character < 128; character++) {
    const bool letter = (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
    const bool control = character < 32 && !(character >= '\t' && character <= '\r');
    if (!letter && !control) characters.push_back(character);
  }
  for (const char letter : std::string("stremvldSTREMVLDabzABIMGZxn\1")) characters.push_back(static_cast<uint32_t>(letter));
  for (int i = 0; i < 6; i++) {
    for (const char common : std::string(" \n\r\t\v1aA'")) characters.push_back(static_cast<uint32_t>(common));
  }
  return characters;
}

std::vector<uint32_t> random_text(std::mt19937_64& random, const std::vector<uint32_t>& from) {
  std::vector<uint32_t> few;
  for (size_t i = 0, count = 1 + random() % 6; i < count; i++) few.push_back(from[random() % from.size()]);
  std::vector<uint32_t> text;
  while (text.size() < random() % 48) {
    const uint32_t character = random() % 4 == 0 ? from[random() % from.size()] : few[random() % few.size()];
    text.insert(text.end(), random() % 3 == 0 ? 1 + random() % 9 : 1, character);
  }
  if (random() % 8 == 0) text.insert(text.begin(), 1 + random() % 600, ' ');
  return text;
}

std::string shown(const std::vector<uint32_t>& text) {
  std::ostringstream out;
  for (const uint32_t character : text) out << std::hex << character << ' ';
  return out.str();
}

Words split(const zse::Splitter& splitter, const std::vector<uint32_t>& text, const Words& pieces) {
  if (!splitter.by_category()) return splitter.split(text, pieces);
  return splitter.split(std::string(text.begin(), text.end()), pieces);
}

/** Whether it takes at most so many steps of a bound. */
bool within(uint64_t steps, const std::function<void()>& work) {
  zse::WorkLimits limits;
  limits.steps = steps;
  zse::WorkBound bound(limits);
  zse::WorkBound::Scope scope(bound);
  try {
    work();
  } catch (const zse::WorkStopped&) {
    return false;
  }
  return true;
}

}  // namespace

TEST("every expression of the source can be read, but for those llama.cpp has code for") {
  CHECK(expressions().size() > 35);
  size_t by_hand = 0;
  for (const std::string& expression : expressions()) {
    try {
      split(zse::Splitter(expression), {'a'}, {1});
    } catch (const std::runtime_error& error) {
      if (kByHand.count(expression) == 0) check::fail(__FILE__, __LINE__, error.what());
      by_hand++;
    }
  }
  CHECK_EQ(by_hand, kByHand.size());
}

#ifdef __GLIBCXX__  // the other libraries' std::regex reads some of them in other ways
TEST("splits like std::regex by every expression") {
  std::mt19937_64 random(check::seed());
  for (const std::string& expression : expressions()) {
    if (kByHand.count(expression) != 0) continue;
    const zse::Splitter splitter(expression);
    constexpr auto flags = std::regex_constants::optimize | std::regex_constants::nosubs;
    std::regex narrow;
    std::wregex wide;
    if (splitter.by_category()) {
      narrow.assign(with_categories(expression), flags);
    } else {
      const auto characters = zse::decode_utf8(expression);
      wide.assign(std::wstring(characters.begin(), characters.end()), flags);
    }
    const auto characters = alphabet(splitter);
    for (int i = 0; i < 800; i++) {
      const auto text = random_text(random, characters);
      const size_t cut = text.empty() ? 0 : random() % (text.size() + 1);
      const Words pieces = random() % 2 == 0 ? Words{text.size()} : Words{cut, 0, text.size() - cut};
      const Words wanted = splitter.by_category() ? reference(narrow, std::string(text.begin(), text.end()), pieces)
                                                  : reference(wide, std::wstring(text.begin(), text.end()), pieces);
      if (split(splitter, text, pieces) == wanted) continue;
      check::fail(__FILE__, __LINE__, expression + "\n    splits differently: " + shown(text));
      break;
    }
  }
}
#endif

TEST("splitting takes work in proportion to the text, whatever it is made of") {
  constexpr size_t kSize = 1 << 13;
  std::mt19937_64 random(check::seed());
  for (const std::string& expression : expressions()) {
    if (kByHand.count(expression) != 0) continue;
    const zse::Splitter splitter(expression);
    auto characters = alphabet(splitter);
    const auto try_text = [&](const std::vector<uint32_t>& text) {
      if (within(text.size() * 3, [&] { split(splitter, text, {text.size()}); })) return;
      check::fail(__FILE__, __LINE__, expression + "\n    takes too long for: " + shown({text.begin(), text.begin() + 24}));
    };
    for (int i = 0; i < 60; i++) {
      std::vector<uint32_t> pattern, text;
      for (size_t n = 0, count = 1 + random() % 5; n < count; n++)
        pattern.push_back(characters[random() % characters.size()]);
      while (text.size() < kSize) text.insert(text.end(), pattern.begin(), pattern.end());
      try_text(text);
      text.back() = characters[random() % characters.size()];
      try_text(text);
    }
    std::sort(characters.begin(), characters.end());
    characters.erase(std::unique(characters.begin(), characters.end()), characters.end());
    for (const uint32_t character : characters) {
      std::vector<uint32_t> text(kSize, character);
      try_text(text);
      text.back() = 'x';
      try_text(text);
    }
  }
}

TEST("a look-ahead that succeeds at every character, and loops in loops, stay linear") {
  const std::vector<uint32_t> digits(1 << 18, '7');
  for (const char* expression :
       {"(?=(\\d{3})+(?!\\d))", "(?!(\\d{3})+x)\\d", "(?:1(?:7\\d)*)+x", "(?:(?:7\\d)*8|7)+x", "7*7*7*x", "\\d+7*\\d+$x"}) {
    const zse::Splitter splitter(expression);
    CHECK(within(digits.size() * 4, [&] { splitter.split(digits, {digits.size()}); }));
  }
}

TEST("what is no expression of the kind is refused, not read in another way") {
  for (const char* expression : {"a**", "a*?", "(?<x>a)", "a{2", "a{3,2}", "[a", "(a", "a)", "(a*)*", "\\b", "\\1",
                                 "\\p{Xx}", "a.b", "^a", "[z-a]", "a{100000}", "\\p{L}\xC3\xA9"}) {
    bool refused = false;
    try {
      split(zse::Splitter(expression), {'a'}, {1});
    } catch (const std::runtime_error&) {
      refused = true;
    }
    if (!refused) check::fail(__FILE__, __LINE__, expression);
  }
}

TEST("a cancel ends splitting in mid-work") {
  zse::WorkBound bound({});
  zse::WorkBound::Scope scope(bound);
  bound.stop(zse::WorkStop::kCancelled);
  bool stopped = false;
  try {
    const std::vector<uint32_t> text(1 << 20, 'a');
    zse::Splitter("[^a]+|a{1,3}").split(text, {text.size()});
  } catch (const zse::WorkStopped& end) {
    stopped = end.why == zse::WorkStop::kCancelled;
  }
  CHECK(stopped);
}

TEST("UTF-8 is read as llama.cpp reads it") {
  const auto read = [](const char* bytes) { return zse::decode_utf8(bytes); };
  CHECK(read("a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80") == (std::vector<uint32_t>{'a', 0xE9, 0x4E2D, 0x1F600}));
  CHECK(read("\x80\xC3") == (std::vector<uint32_t>{0xFFFD, 0xFFFD}));
  CHECK(read("\xE4\xB8x") == (std::vector<uint32_t>{0xFFFD, 0xFFFD, 'x'}));
  CHECK(read("\xC1\x81\xED\xA0\x80\xF8\xF7\xBF\xBF\xBF") == (std::vector<uint32_t>{0x41, 0xD800, 0xFFFD, 0x1FFFFF}));
  CHECK(zse::encode_words({' ', 'a', 0xE9, '\n'}, {2, 0, 2}, true) ==
        (std::vector<std::string>{"\xC4\xA0"
                                  "a",
                                  "", "\xC3\x83\xC2\xA9\xC4\x8A"}));
  CHECK(zse::encode_words({' ', 0x4E2D}, {2}, false) == (std::vector<std::string>{" \xE4\xB8\xAD"}));
}
