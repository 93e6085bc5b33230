// Owns the program that scripts/tokenizer-tests.mjs runs, once with our patched tokenizers and once with llama.cpp's own:
//   ids FILE VOCABULARY [CHANGE…]     a line for each text of a file and each way to tokenize it: what came of it, in short
//   runs SIZE VOCABULARY [CHANGE…]    a line for each kind of text: steps of work for a text of that many bytes and for a quarter of it
//   all SIZE VOCABULARY [CHANGE…]     the same, all the way to the tokens and not just to the first of them
#include <time.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/work_bound.h"
#include "vocabulary.h"

namespace {

struct Kind {
  const char* name;
  const char* unit;  // repeated
  const char* ending;
};

// One class of characters each, then mixtures that make a splitter look far ahead in vain.
const Kind kKinds[] = {
    {"lower", "a", ""},
    {"upper", "A", ""},
    {"digits", "7", ""},
    {"spaces", " ", ""},
    {"spaces before a letter", " ", "x"},
    {"newlines", "\n", ""},
    {"newlines before a letter", "\n", "x"},
    {"CR LF", "\r\n", "x"},
    {"tabs", "\t", "x"},
    {"no-break spaces", "\xC2\xA0", "x"},
    {"ideographic spaces", "\xE3\x80\x80", "x"},
    {"marks", "\xCC\x81", "x"},
    {"Cyrillic", "\xD0\xB6", ""},
    {"Han", "\xE4\xB8\xAD", ""},
    {"kana", "\xE3\x81\x82\xE3\x82\xAB", ""},
    {"Hangul", "\xEA\xB0\x80", ""},
    {"Thai", "\xE0\xB8\x81\xE0\xB8\xB3", ""},
    {"Devanagari", "\xE0\xA4\x95\xE0\xA4\xBF", ""},
    {"Arabic digits", "\xD9\xA1", ""},
    {"emoji", "\xF0\x9F\x98\x80", ""},
    {"controls", "\x02", ""},
    {"punctuation", "!", "x"},
    {"apostrophes", "'", "s"},
    {"symbols", "+", "x"},
    {"not UTF-8", "\xFF", ""},
    {"private use", "\xEE\x80\x80", ""},
    {"upper then lower", "Aa", "1"},
    {"letters and marks", "e\xCC\x81 ", "1"},
    {"contractions", "'s", "'"},
    {"space, newline", " \n ", "x"},
    {"digit, letter", "1a ", "x"},
    {"punctuation, newline", "!\n", "x"},
    {"words", "The quick brown fox, 12345 jumps!\n", ""},
    {"image tokens", "IMGIMGABCD", "Z"},
    {"nearly special", "<|im_", "<"},
};

std::vector<std::string> read_texts(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> texts;
  for (size_t at = 0; at + 4 <= bytes.size();) {
    size_t length = 0;
    for (int i = 3; i >= 0; i--) length = length << 8 | static_cast<unsigned char>(bytes[at + static_cast<size_t>(i)]);
    texts.push_back(bytes.substr(at + 4, length));
    at += 4 + length;
  }
  return texts;
}

/** U+0001 and a byte stand for one of the vocabulary's special tokens. */
std::string with_special(const std::string& text, const std::vector<std::string>& special) {
  std::string result;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == 1 && i + 1 < text.size() && !special.empty()) {
      result += special[static_cast<unsigned char>(text[++i]) * 7919u % special.size()];
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string in_short(const Vocabulary& vocabulary, const std::string& text, bool add_special, bool parse_special) {
  uint64_t hash = 14695981039346656037u;
  size_t count = 0;
  try {
    const auto tokens = vocabulary.tokens(text, add_special, parse_special);
    count = tokens.size();
    for (const int token : tokens) hash = (hash ^ static_cast<uint32_t>(token)) * 1099511628211u;
  } catch (const std::exception& error) {
    return error.what();
  }
  char line[64];
  std::snprintf(line, sizeof line, "%zu %016" PRIx64, count, hash);
  return line;
}

/** Seconds of a processor, so that other programs on the machine do not count. */
double processor_time() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/** Counts the work, and the longest time without a chance to end it. */
class Count : public zse::WorkBound {
 public:
  explicit Count(zse::WorkLimits limits) : WorkBound(limits) {}
  uint64_t steps = 0;
  double longest = 0;

  void look() {
    const double now = processor_time();
    longest = std::max(longest, now - before_);
    before_ = now;
  }

 protected:
  void look_around() override {
    steps++;
    look();
  }

 private:
  double before_ = processor_time();
};

uint64_t steps_for(const Vocabulary& vocabulary, const Kind& kind, size_t size, bool all, double& seconds, double& longest) {
  std::string text;
  while (text.size() < size) text += kind.unit;
  text += kind.ending;
  zse::WorkLimits limits;
  limits.tokens = all ? 0 : 1;
  const double begun = processor_time();
  Count count(limits);
  try {
    zse::WorkBound::Scope scope(count);
    vocabulary.tokens(text, false, true);
  } catch (const zse::WorkStopped& end) {
    if (end.why != zse::WorkStop::kTokens) throw std::runtime_error("stopped");
  } catch (const std::exception&) {
    // a character beyond Unicode, for example: that it ends is what counts
  }
  count.look();
  seconds = processor_time() - begun;
  longest = count.longest;
  return count.steps;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) return 2;
  const std::string mode = arguments[1];
  try {
    const Vocabulary vocabulary(arguments[3], {arguments + 4, arguments + count});
    if (mode == "ids") {
      for (const std::string& text : read_texts(arguments[2])) {
        const std::string whole = with_special(text, vocabulary.special());
        for (int way = 0; way < 4; way++) std::printf("%s\n", in_short(vocabulary, whole, way & 1, way & 2).c_str());
        std::fflush(stdout);
      }
      return 0;
    }
    const size_t size = std::stoul(arguments[2]);
    for (const Kind& kind : kKinds) {
      double seconds = 0, longest = 0;
      const uint64_t quarter = steps_for(vocabulary, kind, size / 4, mode == "all", seconds, longest);
      const uint64_t whole = steps_for(vocabulary, kind, size, mode == "all", seconds, longest);
      std::printf("%" PRIu64 "\t%" PRIu64 "\t%.6f\t%.6f\t%s\n", quarter, whole, seconds, longest, kind.name);
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
