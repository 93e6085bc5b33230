#include "reply/text_assembler.h"

#include <random>

#include "check.h"

using zse::TextAssembler;

namespace {

struct Collected {
  std::string text;
  int tokens = 0;
  std::optional<std::string> stop;
  std::vector<std::string> pieces;
};

Collected run(const std::vector<std::string>& tokens, std::vector<std::string> stops = {}) {
  TextAssembler assembler(std::move(stops));
  Collected all;
  const auto take = [&all](TextAssembler::Output output) {
    CHECK_EQ(output.text.empty(), output.tokens == 0);
    if (!output.text.empty()) all.pieces.push_back(output.text);
    all.text += output.text;
    all.tokens += output.tokens;
    if (output.stop) all.stop = output.stop;
  };
  for (const std::string& token : tokens) {
    take(assembler.add(token));
    if (all.stop) return all;
  }
  take(assembler.flush());
  return all;
}

std::vector<std::string> bytes_of(const std::string& text) {
  std::vector<std::string> bytes;
  for (const char byte : text) bytes.push_back(std::string(1, byte));
  return bytes;
}

}  // namespace

TEST("text passes through token by token when nothing holds it back") {
  const Collected all = run({"Once", " upon", " a", " time"});
  CHECK_EQ(all.text, "Once upon a time");
  CHECK_EQ(all.pieces.size(), 4u);
  CHECK_EQ(all.tokens, 4);
}

TEST("a code point split over tokens comes out whole and only when it is whole") {
  const std::string family = "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7";  // woman, joiner, girl
  const Collected all = run(bytes_of(family));
  CHECK_EQ(all.text, family);
  CHECK_EQ(all.pieces.size(), 3u);
  CHECK_EQ(all.tokens, static_cast<int>(family.size()));
}

TEST("bytes that are no UTF-8 become U+FFFD and do not hold later text back") {
  CHECK_EQ(run({"a\xFF", "b"}).text,
           "a\xEF\xBF\xBD"
           "b");
  CHECK_EQ(run({"\xE2\x82", "x"}).text, "\xEF\xBF\xBDx");
  CHECK_EQ(run({"\xED\xA0\x80"}).text, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // a surrogate is three invalid bytes
}

TEST("a code point cut off by the end becomes one U+FFFD") { CHECK_EQ(run({"a", "\xF0\x9F\x98"}).text, "a\xEF\xBF\xBD"); }

TEST("a stop string inside one token ends the reply before it") {
  const Collected all = run({"Hello END there"}, {"END"});
  CHECK_EQ(all.text, "Hello ");
  CHECK_EQ(all.stop.value_or(""), "END");
}

TEST("a stop string across many tokens never shows a part of itself") {
  const Collected all = run({"Hi ", "<", "|", "end", "|", ">", "more"}, {"<|end|>"});
  CHECK_EQ(all.text, "Hi ");
  CHECK(all.stop.has_value());
}

TEST("text that only looked like a stop string is given out after all") {
  const Collected all = run({"a <|en", "ter|> b"}, {"<|end|>"});
  CHECK_EQ(all.text, "a <|enter|> b");
  CHECK(!all.stop.has_value());
  CHECK_EQ(run({"a <|en"}, {"<|end|>"}).text, "a <|en");
}

TEST("a stop string that overlaps itself is found") {
  const Collected all = run({"aab", "aab", "aac", "x"}, {"aabaac"});
  CHECK_EQ(all.text, "aab");
  CHECK(all.stop.has_value());
}

TEST("of two stop strings the one that ends first wins, of two that end together the longer") {
  CHECK_EQ(run({"xabcy"}, {"abcy", "bc"}).stop.value_or(""), "bc");
  const Collected together = run({"xabcy"}, {"bc", "abc"});
  CHECK_EQ(together.stop.value_or(""), "abc");
  CHECK_EQ(together.text, "x");
}

TEST("only what could begin a stop string is held back") {
  TextAssembler assembler({"\n\nUser:"});
  CHECK_EQ(assembler.add("Hello\n").text, "Hello");
  CHECK_EQ(assembler.held_bytes(), 1u);
  CHECK_EQ(assembler.add("World").text, "\nWorld");
  CHECK_EQ(assembler.held_bytes(), 0u);
}

TEST("however a text is cut into tokens, the text and the stop are the same (random)") {
  std::mt19937_64 random(check::seed());
  const std::vector<std::string> alphabet = {"a", "b", "ab", "\xC3\xA9", "\xF0\x9F\x98\x80", "\xE4\xB8\xAD", " "};
  for (int round = 0; round < 3000; round++) {
    std::string text;
    for (size_t i = random() % 40; i > 0; i--) text += alphabet[random() % alphabet.size()];
    std::vector<std::string> stops;
    for (size_t i = random() % 3; i > 0; i--) {
      std::string stop;
      for (size_t j = 1 + random() % 4; j > 0; j--) stop += alphabet[random() % alphabet.size()];
      stops.push_back(stop);
    }
    // The oracle: the earliest end of any stop string; the longest of those that end there.
    size_t end = std::string::npos, begin = text.size();
    for (const std::string& stop : stops) {
      const size_t at = text.find(stop);
      if (at == std::string::npos) continue;
      if (at + stop.size() < end || (at + stop.size() == end && at < begin)) {
        end = at + stop.size();
        begin = at;
      }
    }
    std::vector<std::string> tokens;
    for (size_t at = 0; at < text.size();) {
      const size_t length = std::min<size_t>(random() % 6, text.size() - at);  // empty tokens too
      tokens.push_back(text.substr(at, length));
      at += length;
    }
    const Collected all = run(tokens, stops);
    CHECK_EQ(all.text, text.substr(0, begin));
    CHECK_EQ(all.stop.has_value(), end != std::string::npos);
    for (const std::string& piece : all.pieces) CHECK_EQ(zse::repair_utf8(piece), piece);
  }
}
