// Owns finding the matches of a program in a text of symbols, one piece after the other: backtracking with its stack on the heap,
// which remembers what failed, so that the work grows with the text and not with its square. One per call and thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenize/program.h"

namespace zse {

class Matcher {
 public:
  /** `symbols` of the whole text, which outlive it. */
  Matcher(const Program& program, const std::vector<uint8_t>& symbols);

  /** From here on the text is this piece of it. */
  void begin_piece(size_t first, size_t last);

  /** Finds the next match at or after `from` and says where it is. */
  bool search(size_t from, size_t& match_first, size_t& match_last);

  /** A match that begins at `from`, and is not empty. */
  bool match_not_empty(size_t from, size_t& match_last) { return match(from, false, match_last); }

 private:
  static constexpr uint32_t kNowhere = 0xFFFFFFFF;

  /** A place to come back to when what was tried after it has failed. */
  struct Choice {
    uint32_t place;
    uint32_t at;
    uint32_t then;  // kRun: the end tried; kSplit: 1 when the second way is being tried; kLook: the look around it
  };
  struct Run {
    uint32_t first = kNowhere, last = 0;         // the last run seen, to its end: inside it needs no counting
    uint32_t failed_first = 0, failed_last = 0;  // no end that can be reached from failed_first leads to a match
  };

  bool match(uint32_t from, bool may_be_empty, size_t& match_last);
  bool step(bool may_be_empty);
  bool run(const Instruction& instruction);
  bool split(const Instruction& instruction);
  bool next_end(const Instruction& instruction, uint32_t start, uint32_t from, uint32_t& end);
  void run_failed(const Instruction& instruction, uint32_t start);
  bool looked();
  bool back();
  void spend(uint32_t steps);

  bool in(SymbolSet set, uint32_t at) const { return (set >> symbols_[at]) & 1; }
  bool may_begin(const Instruction& instruction, uint32_t at) const {
    return instruction.may_be_empty || (at < last_ && in(instruction.starts, at));
  }
  /** Two bits for each head of a loop and character: from there it is known to fail, or (in a look-ahead) to match. */
  enum Known : uint8_t { kUnknown = 0, kFails = 1, kMatches = 2 };
  Known known(uint32_t loop, uint32_t at) const;
  void learn(uint32_t loop, uint32_t at, Known what);

  const Program& program_;
  const std::vector<uint8_t>& symbols_;
  std::vector<Choice> choices_;
  std::vector<Run> runs_;
  std::vector<uint8_t> known_;
  uint32_t first_ = 0, last_ = 0;
  uint32_t place_ = 0, at_ = 0;
  uint32_t start_ = 0;
  uint32_t look_ = kNowhere;  // the place among the choices of the look-ahead that is being tried
  int32_t fuel_;
};

}  // namespace zse
