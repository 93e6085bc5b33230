// Owns what stands for a prompt, and for what a slot or a saved prefix holds: the tokens of a text from its beginning, in order, and which variant
// of the model computes them. Whoever compares, cuts or names such texts does it here, so that a part that is no token of the vocabulary has one
// place to come into. A value: moved from thread to thread with its request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "ids.h"

namespace zse {

/** The model with these adapters in these strengths: what one variant has computed is of no use to another. 0: the model alone. */
using Variant = uint64_t;

class Prompt {
 public:
  Prompt() = default;
  explicit Prompt(std::vector<Token> tokens, Variant variant = 0) : tokens_(std::move(tokens)), variant_(variant) {}

  size_t size() const { return tokens_.size(); }
  bool empty() const { return tokens_.empty(); }
  Token operator[](size_t index) const { return tokens_[index]; }
  const std::vector<Token>& tokens() const { return tokens_; }
  Variant variant() const { return variant_; }
  /** Of memory, and of a file. */
  size_t bytes() const { return tokens_.size() * sizeof(Token); }

  /** How much both have in common from their beginning: nothing where another variant computes it. */
  size_t common_prefix(const Prompt& other) const;
  /** The same of the texts alone, whichever variants compute them. */
  size_t common_tokens(const Prompt& other) const;
  bool starts_with(const Prompt& other) const;
  /** Names the file that the prompt cache keeps it in: changing it loses every such file. */
  uint64_t hash() const;

  void append(const Token* tokens, size_t count) { tokens_.insert(tokens_.end(), tokens, tokens + count); }
  /** Keeps the first `size`; there must be so many. */
  void cut(size_t size) { tokens_.resize(size); }
  /** Nothing is left, for whichever variant. */
  void clear(Variant variant = 0) {
    tokens_.clear();
    variant_ = variant;
  }
  /** The first `size` of another, into memory that is there already where it is enough. */
  void assign_prefix(const Prompt& other, size_t size) {
    tokens_.assign(other.tokens_.begin(), other.tokens_.begin() + static_cast<std::ptrdiff_t>(size));
    variant_ = other.variant_;
  }

  friend bool operator==(const Prompt& a, const Prompt& b) { return a.variant_ == b.variant_ && a.tokens_ == b.tokens_; }
  friend bool operator!=(const Prompt& a, const Prompt& b) { return !(a == b); }

 private:
  std::vector<Token> tokens_;
  Variant variant_ = 0;
};

}  // namespace zse
