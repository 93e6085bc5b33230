// Owns looking for a text in another one in linear time, whatever both are, with checkpoints: std::string::find takes the product of their
// lengths where they repeat themselves, and cannot be stopped. Any thread. Knows work_bound.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "work_bound.h"

namespace zse {

/** Finds one text any number of times, from front to back. */
class TextSearch {
 public:
  /** `what` must not be empty, and must live as long as this. */
  explicit TextSearch(std::string_view what) : what_(what) {
    if (what_.size() <= kShort) return;
    // Knuth, Morris and Pratt: how much of `what` still stands where the next character does not fit.
    held_.set(what_.size() * sizeof(uint32_t));
    border_.resize(what_.size());
    for (size_t i = 1, length = 0; i < what_.size(); i++) {
      if (i % kBlock == 0) work_step(kCost);
      while (length > 0 && what_[i] != what_[length]) length = border_[length - 1];
      if (what_[i] == what_[length]) length++;
      border_[i] = static_cast<uint32_t>(length);
    }
  }

  /** The first place from `from` on, or npos. */
  size_t find(std::string_view text, size_t from = 0) const {
    if (text.size() < what_.size() || from > text.size() - what_.size()) return std::string_view::npos;
    return what_.size() <= kShort ? find_short(text, from) : find_long(text, from);
  }

 private:
  static constexpr size_t kShort = 16;    // of so few characters the product is small
  static constexpr size_t kBlock = 4096;  // characters between two checkpoints
  static constexpr uint32_t kCost = 32;

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
      while (length > 0 && text[i] != what_[length]) length = border_[length - 1];
      if (text[i] == what_[length]) length++;
      if (length == what_.size()) return i + 1 - length;
    }
    return std::string_view::npos;
  }

  std::string_view what_;
  std::vector<uint32_t> border_;
  WorkHeld held_;
};

}  // namespace zse
