// Owns looking for a text in another one in linear time, whatever both are, with checkpoints: std::string::find takes the product of their
// lengths where they repeat themselves, and cannot be stopped. Any thread. Knows work_bound.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "work_bound.h"

namespace zse {

/** Knuth, Morris and Pratt: how much of a text, which the caller keeps, still stands where the next character does not fit. */
class Borders {
 public:
  static constexpr size_t kBlock = 4096;  // characters between two checkpoints
  static constexpr uint32_t kCost = 32;

  Borders() = default;
  explicit Borders(std::string_view what) : borders_(what.size()) {
    for (size_t i = 1, matched = 0; i < what.size(); i++) {
      if (i % kBlock == 0) work_step(kCost);
      matched = next(what, matched, what[i]);
      borders_[i] = static_cast<uint32_t>(matched);
    }
  }

  /** How much of `what` stands at the end of what was read, after one character more. `matched`: before it; less than all. */
  size_t next(std::string_view what, size_t matched, char character) const {
    while (matched > 0 && what[matched] != character) matched = borders_[matched - 1];
    return what[matched] == character ? matched + 1 : matched;
  }

 private:
  std::vector<uint32_t> borders_;
};

/** Finds one text any number of times, from front to back. */
class TextSearch {
 public:
  /** `what` must not be empty, and must live as long as this. */
  explicit TextSearch(std::string_view what) : what_(what) {
    if (what_.size() <= kShort) return;
    held_.set(what_.size() * sizeof(uint32_t));
    borders_ = Borders(what_);
  }

  /** The first place from `from` on, or npos. */
  size_t find(std::string_view text, size_t from = 0) const {
    if (text.size() < what_.size() || from > text.size() - what_.size()) return std::string_view::npos;
    return what_.size() <= kShort ? find_short(text, from) : find_long(text, from);
  }

 private:
  static constexpr size_t kShort = 16;  // of so few characters the product is small
  static constexpr size_t kBlock = Borders::kBlock;
  static constexpr uint32_t kCost = Borders::kCost;

  size_t find_short(std::string_view text, size_t from) const {
    for (size_t at = from; at + what_.size() <= text.size(); at += kBlock) {
      work_step(kCost);
      const size_t found = text.substr(at, kBlock + what_.size() - 1).find(what_);
      if (found != std::string_view::npos) return at + found;
    }
    return std::string_view::npos;
  }

  size_t find_long(std::string_view text, size_t from) const {
    size_t length = 0;
    for (size_t i = from; i < text.size(); i++) {
      if (i % kBlock == 0) work_step(kCost);
      length = borders_.next(what_, length, text[i]);
      if (length == what_.size()) return i + 1 - length;
    }
    return std::string_view::npos;
  }

  std::string_view what_;
  Borders borders_;
  WorkHeld held_;
};

}  // namespace zse
