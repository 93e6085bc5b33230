// Owns cutting a text into words by one expression of a pre-tokenizer: llama.cpp's, in place of its std::regex, whose matcher calls
// itself for every character and is compiled anew for every piece of text. Matches are those of std::regex (ECMAScript: the first
// alternative that leads to a match), found without recursion and in linear time. On the thread that tokenizes, under its bound;
// one splitter serves several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace zse {

class Program;

class Splitter {
 public:
  /** Reads the expression once. One that cannot be read throws std::runtime_error when it is to split something. */
  Splitter(const char* expression) : Splitter(std::string(expression)) {}  // NOLINT: where llama.cpp lists expressions
  explicit Splitter(std::string expression);

  const std::string& expression() const { return expression_; }

  /** True when it is to be used on text whose characters beyond ASCII are category bytes (see pattern.h). */
  bool by_category() const { return by_category_; }

  /**
   * Cuts each piece of the text, given by its length in characters: a word for each match, and for what lies between matches. An
   * empty match is an empty word.
   */
  std::vector<size_t> split(const std::string& category_bytes, const std::vector<size_t>& pieces) const;
  std::vector<size_t> split(const std::vector<uint32_t>& characters, const std::vector<size_t>& pieces) const;

 private:
  const Program& program() const;

  std::string expression_;
  std::string refusal_;
  std::shared_ptr<const Program> program_;  // splitters are copied
  bool by_category_;
};

}  // namespace zse
