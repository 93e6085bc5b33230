// Owns an expression made ready to be matched: characters as one of at most 64 symbols that the expression can tell apart, sets of
// them as one word of bits, and instructions over them. Made once per vocabulary; constant afterwards, so any thread may match.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tokenize/pattern.h"

namespace zse {

/** Bit n stands for symbol n. */
using SymbolSet = uint64_t;

struct Instruction {
  enum Op : uint8_t {
    kOne,     // one symbol of the set
    kRun,     // least to most of the set, as many as there are, then fewer
    kSplit,   // goes on at `next`, then at `other`
    kJump,    // goes on at `next`
    kAhead,   // one symbol of the set must follow; negative: none of the set may follow
    kLook,    // what begins at `other` must match here (negative: must not), up to kLooked; then `next`
    kLooked,  // the end of what a kLook tries
    kEnd,     // the end of the text must be here
    kMatch,
  };
  Op op = kMatch;
  bool negative = false;
  bool loop = false;  // kSplit: the head of a repetition
  uint32_t next = 0;  // what comes after it
  uint32_t other = 0;
  uint32_t least = 0, most = 0;
  uint32_t index = 0;  // kRun, and kSplit with loop: its number among those
  SymbolSet set = 0;
  SymbolSet starts = 0;       // symbols that what begins here may begin with
  bool may_be_empty = false;  // or it may match without taking a symbol
};

class Program {
 public:
  /** Throws std::invalid_argument, see read_pattern(). */
  explicit Program(const std::string& expression);

  const std::vector<Instruction>& instructions() const { return instructions_; }
  const Instruction& at(uint32_t place) const { return instructions_[place]; }
  uint32_t runs() const { return runs_; }
  uint32_t loops() const { return loops_; }

  /** Where the same character is asked for again and again, `near` remembers where it was found. */
  uint8_t symbol(uint32_t character, size_t& near) const;

 private:
  void find_symbols(const Node& tree);
  SymbolSet symbols_of(const CharSet& set) const;
  uint32_t emit(Instruction instruction);
  void emit_node(const Node& node);
  void emit_choice(const std::vector<Node>& parts);
  void emit_repeat(const Node& node);
  void find_starts(uint32_t place, std::vector<bool>& known);

  std::vector<Instruction> instructions_;
  std::vector<uint32_t> firsts_;  // ranges of characters by where they begin, and the symbol of each
  std::vector<uint8_t> symbols_;
  uint8_t ascii_[256] = {};
  uint32_t runs_ = 0, loops_ = 0;
};

inline uint8_t Program::symbol(uint32_t character, size_t& near) const {
  if (character < 256) return ascii_[character];
  const bool there = firsts_[near] <= character && (near + 1 == firsts_.size() || character < firsts_[near + 1]);
  if (!there) {
    size_t low = 0, high = firsts_.size();
    while (high - low > 1) {
      const size_t middle = (low + high) / 2;
      (firsts_[middle] <= character ? low : high) = middle;
    }
    near = low;
  }
  return symbols_[near];
}

}  // namespace zse
