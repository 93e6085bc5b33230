#include "tokenize/splitter.h"

#include <stdexcept>
#include <utility>

#include "base/work_bound.h"
#include "tokenize/matcher.h"
#include "tokenize/pattern.h"
#include "tokenize/program.h"

namespace zse {

namespace {

constexpr size_t kCharactersPerStep = 64;

template <class Character>
std::vector<uint8_t> symbols_of(const Program& program, const Character* characters, size_t count) {
  std::vector<uint8_t> symbols(count);
  size_t near = 0;
  for (size_t i = 0; i < count; i++) {
    if (i % kCharactersPerStep == 0) work_step();
    symbols[i] = program.symbol(characters[i], near);
  }
  return symbols;
}

/** What std::regex_iterator goes through, and what lies between. */
void split_piece(Matcher& matcher, size_t first, size_t last, std::vector<size_t>& words) {
  matcher.begin_piece(first, last);
  size_t done = first, match_first = 0, match_last = 0;
  bool found = matcher.search(first, match_first, match_last);
  while (found) {
    if (match_first > done) words.push_back(match_first - done);
    words.push_back(match_last - match_first);
    done = match_last;
    if (match_first < match_last) {
      found = matcher.search(done, match_first, match_last);
      continue;
    }
    // After an empty match one that is not empty may begin at the same place.
    if (done == last) break;
    match_first = done;
    found = matcher.match_not_empty(done, match_last) || matcher.search(done + 1, match_first, match_last);
  }
  if (done < last) words.push_back(last - done);
}

std::vector<size_t> split_pieces(const Program& program, const std::vector<uint8_t>& symbols,
                                 const std::vector<size_t>& pieces) {
  Matcher matcher(program, symbols);
  std::vector<size_t> words;
  words.reserve(pieces.size());
  size_t first = 0;
  for (const size_t length : pieces) {
    split_piece(matcher, first, first + length, words);
    first += length;
  }
  return words;
}

}  // namespace

Splitter::Splitter(std::string expression) : expression_(std::move(expression)), by_category_(names_category(expression_)) {
  try {
    program_ = std::make_shared<const Program>(expression_);
  } catch (const std::invalid_argument& error) {
    refusal_ = error.what();
  }
}

const Program& Splitter::program() const {
  if (!program_) throw std::runtime_error("this pre-tokenizer is not supported: " + refusal_);
  return *program_;
}

std::vector<size_t> Splitter::split(const std::string& category_bytes, const std::vector<size_t>& pieces) const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(category_bytes.data());
  return split_pieces(program(), symbols_of(program(), bytes, category_bytes.size()), pieces);
}

std::vector<size_t> Splitter::split(const std::vector<uint32_t>& characters, const std::vector<size_t>& pieces) const {
  return split_pieces(program(), symbols_of(program(), characters.data(), characters.size()), pieces);
}

}  // namespace zse
