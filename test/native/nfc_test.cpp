#include "tokenize/nfc.h"

#include <chrono>
#include <fstream>
#include <random>

#include "base/work_bound.h"
#include "check.h"

using zse::normalize_nfc;

namespace {

std::string utf8(uint32_t point) {
  std::string out;
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | point >> 6);
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  }
  return out;
}

std::string utf8_of(const std::string& hexadecimals) {
  std::istringstream words(hexadecimals);
  std::string text;
  for (uint32_t point = 0; words >> std::hex >> point;) text += utf8(point);
  return text;
}

struct Case {
  std::string line, text, normal;
};

/** What ICU says (scripts/make-nfc-tables.mjs). */
const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> read;
    std::ifstream file(std::string(ZSE_FIXTURES) + "/../nfc.txt");
    for (std::string line; std::getline(file, line);) {
      if (line.empty() || line[0] == '#') continue;
      const size_t semicolon = line.find(';');
      const std::string text = utf8_of(line.substr(0, semicolon));
      read.push_back({line, text, semicolon == std::string::npos ? text : utf8_of(line.substr(semicolon + 1))});
    }
    return read;
  }();
  return all;
}

std::string repeated(const std::string& piece, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += piece;
  return text;
}

/** Units of work that normalizing takes; fails where that is more than a bound. */
struct Counting : zse::WorkBound {
  explicit Counting(uint64_t steps) : WorkBound({std::chrono::nanoseconds(0), steps, 0, 0, size_t{1} << 20}) {}
};

bool ends_within(uint64_t steps, const std::string& text, std::string* normal = nullptr) {
  Counting bound(steps);
  const zse::WorkBound::Scope scope(bound);
  try {
    const std::string result = normalize_nfc(text);
    if (normal) *normal = result;
    return true;
  } catch (const zse::WorkStopped& stopped) {
    CHECK(stopped.why == zse::WorkStop::kSteps);
    return false;
  }
}

}  // namespace

TEST("NFC: every code point that comes apart, marks in any order and Hangul become what ICU makes of them") {
  CHECK(cases().size() > 5000);
  for (const Case& c : cases()) {
    if (normalize_nfc(c.text) != c.normal) check::fail(__FILE__, __LINE__, c.line);
    if (normalize_nfc(c.normal) != c.normal) check::fail(__FILE__, __LINE__, c.line + " (again)");
  }
}

TEST("NFC: texts that an inert character keeps apart do not reach each other, however they are put together (random)") {
  std::mt19937_64 random(check::seed());
  // Marks after these compose with none of them; bytes that are no UTF-8 keep apart, too.
  const std::vector<std::string> separators = {"x\n", "\n", "\xf0\x9f\x98\x80", "\xff", "\xed\xa0\x80", "\xe4\xb8\x80"};
  for (int round = 0; round < 200; round++) {
    std::string text, normal;
    for (uint64_t i = random() % 40; i-- > 0;) {
      const Case& c = cases()[random() % cases().size()];
      const std::string& separator = separators[random() % separators.size()];
      text += separator + c.text;
      normal += separator + c.normal;
    }
    CHECK_EQ(normalize_nfc(text), normal);
  }
}

TEST("NFC: every Hangul syllable comes of its parts, and stays") {
  for (uint32_t syllable = 0xac00; syllable <= 0xd7a3; syllable++) {
    const uint32_t index = syllable - 0xac00;
    std::string parts = utf8(0x1100 + index / 588) + utf8(0x1161 + index / 28 % 21);
    if (index % 28 != 0) parts += utf8(0x11a7 + index % 28);
    CHECK_EQ(normalize_nfc(parts), utf8(syllable));
    CHECK_EQ(normalize_nfc(utf8(syllable)), utf8(syllable));
    if (index % 28 != 0) CHECK_EQ(normalize_nfc(utf8(syllable - index % 28) + utf8(0x11a7 + index % 28)), utf8(syllable));
  }
}

TEST("NFC: bytes that are no UTF-8 stay as they are, and nothing composes across them (random)") {
  const std::string acute = "\xcc\x81";
  CHECK_EQ(normalize_nfc("e" + acute), "\xc3\xa9");
  for (const std::string broken : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xb8", "\x80", "\xf5"}) {
    CHECK_EQ(normalize_nfc("e" + broken + acute + "e" + acute), "e" + broken + acute + "\xc3\xa9");
    CHECK_EQ(normalize_nfc(acute + broken), acute + broken);
  }
  CHECK_EQ(normalize_nfc("e\xcc"), "e\xcc");
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 3000; round++) {
    std::string bytes;
    for (uint64_t i = random() % 12; i-- > 0;)
      bytes += random() % 3 ? utf8(0x2f0 + random() % 0x70) : std::string(1, static_cast<char>(random()));
    const std::string normal = normalize_nfc(bytes);
    CHECK_EQ(normalize_nfc(normal), normal);
  }
}

TEST("NFC: text that needs nothing comes back as it was") {
  for (const std::string text :
       {"", "a", "plain text\n",
        "caf\xc3\xa9 \xe2\x82\xac \xed\x95\x9c\xea\xb5\xad\xec\x96\xb4 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80"}) {
    CHECK_EQ(normalize_nfc(text), text);
  }
}

TEST("NFC: a megabyte of marks, of Hangul, of ideographs or of plain text is linear work") {
  const size_t bytes = size_t{1} << 20;
  const std::vector<std::string> pieces = {"\xcc\x81\xcc\x96",
                                           "\xcc\x96\xcc\x81",
                                           "\xcc\x81",
                                           "\xcc\xa7\xcc\x81\xcc\xb4\xcd\x85",
                                           "a",
                                           "e\xcc\x81",
                                           "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8",
                                           "\xef\xa4\x80",
                                           "\xe0\xa4\x95\xe0\xa4\xbc",
                                           "\xe4\xb8\x80",
                                           "\xff",
                                           "\xf0\x96\xb5\xa7" /* composes with itself */};
  for (const std::string& piece : pieces) {
    std::string normal;
    // At most one step for two bytes, whatever the length.
    CHECK(ends_within(bytes / 2, "o" + repeated(piece, bytes), &normal));
    CHECK(ends_within(bytes / 8, "o" + repeated(piece, bytes / 4)));
    CHECK(normal.size() > bytes / 4 || piece == "\xf0\x96\xb5\xa7");
  }
  std::string expected = "\xc3\xb3" + repeated("\xcc\x96", bytes / 2) + repeated("\xcc\x81", bytes / 2 - 2);
  std::string normal;
  CHECK(ends_within(bytes, "o" + repeated("\xcc\x81\xcc\x96", bytes), &normal));
  // 0316 goes below and first; the first 0301 still composes, since only lower classes stand between.
  CHECK_EQ(normal.size(), expected.size());
  CHECK(normal == expected);
}

TEST("NFC: work that is stopped ends in the middle") {
  CHECK(!ends_within(1000, repeated("\xcc\x81\xcc\x96", 1 << 20)));
  CHECK(!ends_within(1000, repeated("a", 1 << 20)));
}
