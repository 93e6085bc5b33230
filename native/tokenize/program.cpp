#include "tokenize/program.h"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace zse {

namespace {

constexpr size_t kMostSymbols = 64;
constexpr size_t kMostInstructions = 4096;

void collect(const Node& node, std::vector<const CharSet*>& sets) {
  if (node.kind == Node::kSet) sets.push_back(&node.set);
  for (const Node& part : node.parts) collect(part, sets);
}

}  // namespace

Program::Program(const std::string& expression) {
  const Node tree = read_pattern(expression);
  find_symbols(tree);
  emit_node(tree);
  emit({});
  std::vector<bool> known(instructions_.size());
  for (uint32_t place = 0; place < instructions_.size(); place++) find_starts(place, known);
}

/** Characters that the same sets hold are one symbol. */
void Program::find_symbols(const Node& tree) {
  std::vector<const CharSet*> sets;
  collect(tree, sets);
  firsts_ = {0};
  for (const CharSet* set : sets) {
    for (const CharSet::Range& range : set->ranges()) {
      firsts_.push_back(range.first);
      if (range.last != CharSet::kLast) firsts_.push_back(range.last + 1);
    }
  }
  std::sort(firsts_.begin(), firsts_.end());
  firsts_.erase(std::unique(firsts_.begin(), firsts_.end()), firsts_.end());

  std::map<std::string, uint8_t> known;
  for (const uint32_t first : firsts_) {
    std::string in;
    for (const CharSet* set : sets) in += set->contains(first) ? '1' : '0';
    if (known.size() == kMostSymbols && known.count(in) == 0)
      throw std::invalid_argument("an expression of too many kinds of characters");
    symbols_.push_back(known.emplace(in, static_cast<uint8_t>(known.size())).first->second);
  }
  for (uint32_t character = 0; character < 256; character++) {
    const auto after = std::upper_bound(firsts_.begin(), firsts_.end(), character);
    ascii_[character] = symbols_[static_cast<size_t>(after - firsts_.begin()) - 1];
  }
}

SymbolSet Program::symbols_of(const CharSet& set) const {
  SymbolSet symbols = 0;
  for (size_t i = 0; i < firsts_.size(); i++) {
    if (set.contains(firsts_[i])) symbols |= SymbolSet{1} << symbols_[i];
  }
  return symbols;
}

/** What comes next is the instruction after it, until it is told otherwise. */
uint32_t Program::emit(Instruction instruction) {
  if (instructions_.size() == kMostInstructions) throw std::invalid_argument("an expression that is too long");
  const auto place = static_cast<uint32_t>(instructions_.size());
  instruction.next = place + 1;
  instructions_.push_back(instruction);
  return place;
}

void Program::emit_node(const Node& node) {
  Instruction instruction;
  instruction.negative = node.negative;
  switch (node.kind) {
    case Node::kSet:
      instruction.op = Instruction::kOne;
      instruction.set = symbols_of(node.set);
      emit(instruction);
      return;
    case Node::kSequence:
      for (const Node& part : node.parts) emit_node(part);
      return;
    case Node::kEither: emit_choice(node.parts); return;
    case Node::kRepeat: emit_repeat(node); return;
    case Node::kEnd:
      instruction.op = Instruction::kEnd;
      emit(instruction);
      return;
    case Node::kLook: break;
  }
  if (node.parts[0].kind == Node::kSet) {
    instruction.op = Instruction::kAhead;
    instruction.set = symbols_of(node.parts[0].set);
    emit(instruction);
    return;
  }
  instruction.op = Instruction::kLook;
  const uint32_t look = emit(instruction);
  instructions_[look].other = look + 1;
  emit_node(node.parts[0]);
  Instruction looked;
  looked.op = Instruction::kLooked;
  instructions_[look].next = emit(looked) + 1;
}

void Program::emit_choice(const std::vector<Node>& parts) {
  std::vector<uint32_t> jumps;
  for (size_t i = 0; i + 1 < parts.size(); i++) {
    Instruction split, jump;
    split.op = Instruction::kSplit;
    jump.op = Instruction::kJump;
    const uint32_t place = emit(split);
    emit_node(parts[i]);
    jumps.push_back(emit(jump));
    instructions_[place].other = static_cast<uint32_t>(instructions_.size());
  }
  emit_node(parts.back());
  for (const uint32_t jump : jumps) instructions_[jump].next = static_cast<uint32_t>(instructions_.size());
}

void Program::emit_repeat(const Node& node) {
  const Node& inner = node.parts[0];
  if (inner.kind == Node::kSet) {
    Instruction run;
    run.op = Instruction::kRun;
    run.set = symbols_of(inner.set);
    run.least = node.least;
    run.most = node.most;
    run.index = runs_++;
    emit(run);
    return;
  }
  for (uint32_t i = 0; i < node.least; i++) emit_node(inner);
  Instruction split;
  split.op = Instruction::kSplit;
  if (node.most == Node::kNoEnd) {
    split.loop = true;
    split.index = loops_++;
    const uint32_t head = emit(split);
    emit_node(inner);
    Instruction back;
    back.op = Instruction::kJump;
    instructions_[emit(back)].next = head;
    instructions_[head].other = static_cast<uint32_t>(instructions_.size());
    return;
  }
  std::vector<uint32_t> exits;
  for (uint32_t i = node.least; i < node.most; i++) {
    exits.push_back(emit(split));
    emit_node(inner);
  }
  for (const uint32_t exit : exits) instructions_[exit].other = static_cast<uint32_t>(instructions_.size());
}

/** Ends, since what is repeated is never empty: every way round a loop takes a symbol. */
void Program::find_starts(uint32_t place, std::vector<bool>& known) {
  if (known[place]) return;
  known[place] = true;
  Instruction& here = instructions_[place];
  const auto also = [&](uint32_t follower) {
    find_starts(follower, known);
    here.starts |= instructions_[follower].starts;
    here.may_be_empty = here.may_be_empty || instructions_[follower].may_be_empty;
  };
  switch (here.op) {
    case Instruction::kOne: here.starts = here.set; break;
    case Instruction::kRun:
      here.starts = here.set;
      if (here.least == 0) also(here.next);
      break;
    case Instruction::kSplit:
      also(here.next);
      also(here.other);
      break;
    case Instruction::kJump:
    case Instruction::kAhead:
    case Instruction::kLook:
    case Instruction::kEnd: also(here.next); break;
    case Instruction::kLooked:
    case Instruction::kMatch: here.may_be_empty = true; break;
  }
}

}  // namespace zse
