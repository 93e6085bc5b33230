// Owns reading an expression of a pre-tokenizer: the part of ECMAScript's regular expressions that llama.cpp's use, and Unicode
// categories as llama.cpp means them. Anything else is refused, so that no expression is matched in another way than it reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tokenize/char_set.h"

namespace zse {

/**
 * llama.cpp matches expressions with categories (\p{L} …) on a text in which each character beyond ASCII is one byte that stands
 * for its category. The letters' subcategories are all the letters' byte there.
 */
enum CategoryByte : uint32_t {
  kOtherByte = 0xD0,
  kNumberByte = 0xD1,
  kLetterByte = 0xD2,
  kPunctuationByte = 0xD3,
  kMarkByte = 0xD4,
  kSymbolByte = 0xD5,
};

struct Node {
  enum Kind { kSet, kSequence, kEither, kRepeat, kLook, kEnd };
  static constexpr uint32_t kNoEnd = 0xFFFFFFFF;

  Kind kind = kSequence;
  CharSet set;                   // kSet: one character of these
  std::vector<Node> parts;       // kSequence; kEither: the first that leads to a match counts; kRepeat, kLook: one
  uint32_t least = 0, most = 0;  // kRepeat, as often as it goes; kNoEnd
  bool negative = false;         // kLook: what follows must not match
};

/** True when the expression names a category that llama.cpp knows. */
bool names_category(const std::string& expression);

/**
 * The expression as a tree; groups of one character, and a look-ahead at the character that follows, are plain sets in it.
 * Throws std::invalid_argument with what it cannot read.
 */
Node read_pattern(const std::string& expression);

/** Whether a match of it can be empty. */
bool may_be_empty(const Node& node);

}  // namespace zse
