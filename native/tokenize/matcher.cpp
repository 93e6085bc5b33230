#include "tokenize/matcher.h"

#include <algorithm>

#include "base/work_bound.h"

namespace zse {

namespace {
// A step here takes a few nanoseconds; one of a bound's stands for some hundred.
constexpr int32_t kFuel = 1024;
constexpr uint32_t kStepsOfFuel = 32;
}  // namespace

inline void Matcher::spend(uint32_t steps) {
  fuel_ -= static_cast<int32_t>(steps);
  while (fuel_ <= 0) {
    fuel_ += kFuel;
    work_step(kStepsOfFuel);
  }
}

Matcher::Matcher(const Program& program, const std::vector<uint8_t>& symbols)
    : program_(program), symbols_(symbols), runs_(program.runs()), fuel_(kFuel) {
  known_.resize((symbols.size() * program.loops() + 3) / 4);
}

void Matcher::begin_piece(size_t first, size_t last) {
  first_ = static_cast<uint32_t>(first);
  last_ = static_cast<uint32_t>(last);
  std::fill(runs_.begin(), runs_.end(), Run{});  // where a piece begins another one ended
  spend(static_cast<uint32_t>(1 + runs_.size() / 4));
}

bool Matcher::search(size_t from, size_t& match_first, size_t& match_last) {
  const Instruction& begin = program_.at(0);
  for (auto start = static_cast<uint32_t>(from);; start++) {
    if (!begin.may_be_empty) {
      const uint32_t before = start;
      while (start < last_ && !in(begin.starts, start)) start++;
      spend((start - before) / 4);
      if (start == last_) return false;
    }
    if (match(start, true, match_last)) {
      match_first = start;
      return true;
    }
    if (start == last_) return false;
  }
}

bool Matcher::match(uint32_t from, bool may_be_empty, size_t& match_last) {
  choices_.clear();
  place_ = 0;
  at_ = start_ = from;
  look_ = kNowhere;
  for (;;) {
    spend(1);
    if (program_.at(place_).op == Instruction::kMatch && (may_be_empty || at_ != start_)) {
      match_last = at_;
      return true;
    }
    if (!step(may_be_empty) && !back()) return false;
  }
}

/** Carries out one instruction; false when it fails. */
inline bool Matcher::step(bool may_be_empty) {
  const Instruction& here = program_.at(place_);
  switch (here.op) {
    case Instruction::kOne:
      if (at_ == last_ || !in(here.set, at_)) return false;
      at_++;
      break;
    case Instruction::kRun: return run(here);
    case Instruction::kSplit: return split(here);
    case Instruction::kJump: break;
    case Instruction::kAhead:
      if ((at_ < last_ && in(here.set, at_)) == here.negative) return false;
      break;
    case Instruction::kLook:
      choices_.push_back({place_, at_, look_});
      look_ = static_cast<uint32_t>(choices_.size() - 1);
      place_ = here.other;
      return true;
    case Instruction::kLooked: return looked();
    case Instruction::kEnd:
      if (at_ != last_) return false;
      break;
    case Instruction::kMatch: return may_be_empty || at_ != start_;
  }
  place_ = here.next;
  return true;
}

bool Matcher::split(const Instruction& here) {
  const bool first = may_begin(program_.at(here.next), at_);
  const bool second = may_begin(program_.at(here.other), at_);
  const bool remembers = here.loop && at_ < last_;
  if (remembers) {
    const Known known_here = known(here.index, at_);
    if (known_here == kFails) return false;
    if (known_here == kMatches) return looked();
  }
  if (first && (second || remembers)) choices_.push_back({place_, at_, 0});
  place_ = first ? here.next : here.other;
  return first || second;
}

bool Matcher::run(const Instruction& here) {
  Run& seen = runs_[here.index];
  uint32_t whole = at_;
  if (at_ >= seen.first && at_ < seen.last) {
    whole = seen.last;
  } else {
    const uint32_t limit = here.most < last_ - at_ ? at_ + here.most : last_;
    while (whole < limit && in(here.set, whole) && whole != seen.first) whole++;
    spend((whole - at_) / 4);
    if (whole == seen.first && seen.last > whole) whole = seen.last;
    if (here.most == Node::kNoEnd && whole > at_) seen.first = at_, seen.last = whole;
  }
  if (whole - at_ < here.least) return false;

  const uint32_t start = at_, least = at_ + here.least;
  uint32_t from = whole;
  if (seen.failed_first < seen.failed_last && seen.failed_last == whole) {
    if (start >= seen.failed_first) return false;
    from = std::min(whole, seen.failed_first + here.least - 1);  // the later ends were tried from there
  }
  uint32_t end = 0;
  if (!next_end(here, start, from, end)) {
    run_failed(here, start);
    return false;
  }
  if (end > least || (here.most == Node::kNoEnd && from > least)) choices_.push_back({place_, start, end});
  at_ = end;
  place_ = here.next;
  return true;
}

/** The last end at or before `from` behind which what follows may begin. */
bool Matcher::next_end(const Instruction& here, uint32_t start, uint32_t from, uint32_t& end) {
  const Instruction& after = program_.at(here.next);
  const uint32_t least = start + here.least;
  for (end = from; !may_begin(after, end); end--) {
    if (end == least) {
      spend((from - least) / 4);
      return false;
    }
  }
  spend((from - end) / 4);
  return true;
}

/** Fewer of the same characters, from a later start, have no other ends to offer. */
void Matcher::run_failed(const Instruction& here, uint32_t start) {
  if (here.most != Node::kNoEnd) return;
  Run& seen = runs_[here.index];
  if (start < seen.first || start > seen.last) return;
  seen.failed_first = start;
  seen.failed_last = seen.last;
}

/** What a look-ahead tries has matched; false when that was not wanted. */
bool Matcher::looked() {
  for (size_t i = look_ + 1; i < choices_.size(); i++) {
    const Choice& choice = choices_[i];
    const Instruction& instruction = program_.at(choice.place);
    if (instruction.op == Instruction::kSplit && instruction.loop && choice.at < last_)
      learn(instruction.index, choice.at, kMatches);
  }
  const Choice look = choices_[look_];
  choices_.resize(look_);
  look_ = look.then;
  at_ = look.at;
  place_ = program_.at(look.place).next;
  return !program_.at(look.place).negative;
}

/** Goes back to the last choice that has another way; false when there is none. */
bool Matcher::back() {
  while (!choices_.empty()) {
    spend(1);
    Choice& choice = choices_.back();
    const Instruction& instruction = program_.at(choice.place);
    if (instruction.op == Instruction::kRun) {
      uint32_t end = 0;
      if (choice.then > choice.at + instruction.least && next_end(instruction, choice.at, choice.then - 1, end)) {
        choice.then = at_ = end;
        place_ = instruction.next;
        return true;
      }
      run_failed(instruction, choice.at);
    } else if (instruction.op == Instruction::kSplit) {
      if (choice.then == 0 && may_begin(program_.at(instruction.other), choice.at)) {
        at_ = choice.at;
        place_ = instruction.other;
        choice.then = 1;
        if (!(instruction.loop && at_ < last_)) choices_.pop_back();
        return true;
      }
      if (instruction.loop && choice.at < last_) learn(instruction.index, choice.at, kFails);
    } else {
      look_ = choice.then;
      if (instruction.negative) {
        at_ = choice.at;
        place_ = instruction.next;
        choices_.pop_back();
        return true;
      }
    }
    choices_.pop_back();
  }
  return false;
}

Matcher::Known Matcher::known(uint32_t loop, uint32_t at) const {
  const size_t bit = (static_cast<size_t>(at) * program_.loops() + loop) * 2;
  return static_cast<Known>((known_[bit / 8] >> (bit % 8)) & 3);
}

void Matcher::learn(uint32_t loop, uint32_t at, Known what) {
  const size_t bit = (static_cast<size_t>(at) * program_.loops() + loop) * 2;
  known_[bit / 8] =
      static_cast<uint8_t>((known_[bit / 8] & ~(3u << (bit % 8))) | (static_cast<unsigned>(what) << (bit % 8)));
}

}  // namespace zse
