// Owns sets of characters as ranges: what a class of an expression, a union of classes or its complement stands for.
// Pure; only used while an expression is compiled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace zse {

class CharSet {
 public:
  static constexpr uint32_t kLast = 0xFFFFFFFF;
  struct Range {
    uint32_t first, last;
  };

  CharSet() = default;
  CharSet(uint32_t first, uint32_t last) : ranges_{{first, last}} {}

  void add(uint32_t first, uint32_t last);
  void add(const CharSet& other);
  CharSet complement() const;
  CharSet intersection(const CharSet& other) const;

  bool contains(uint32_t character) const;
  bool operator==(const CharSet& other) const;

  /** In order, apart from each other. */
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

}  // namespace zse
