#include "tokenize/char_set.h"

#include <algorithm>

namespace zse {

void CharSet::add(uint32_t first, uint32_t last) {
  std::vector<Range> merged;
  for (const Range& range : ranges_) {
    const bool before = range.last < first && first - range.last > 1;
    const bool after = last < range.first && range.first - last > 1;
    if (before || after) {
      merged.push_back(range);
    } else {
      first = std::min(first, range.first);
      last = std::max(last, range.last);
    }
  }
  const auto place = std::find_if(merged.begin(), merged.end(), [&](const Range& range) { return range.first > last; });
  merged.insert(place, Range{first, last});
  ranges_ = std::move(merged);
}

void CharSet::add(const CharSet& other) {
  for (const Range& range : other.ranges_) add(range.first, range.last);
}

CharSet CharSet::complement() const {
  CharSet result;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) result.ranges_.push_back({next, range.first - 1});
    if (range.last == kLast) return result;
    next = range.last + 1;
  }
  result.ranges_.push_back({next, kLast});
  return result;
}

CharSet CharSet::intersection(const CharSet& other) const {
  CharSet outside = complement();
  outside.add(other.complement());
  return outside.complement();
}

bool CharSet::contains(uint32_t character) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), character,
                                      [](uint32_t value, const Range& range) { return value < range.first; });
  return after != ranges_.begin() && character <= std::prev(after)->last;
}

bool CharSet::operator==(const CharSet& other) const {
  return std::equal(ranges_.begin(), ranges_.end(), other.ranges_.begin(), other.ranges_.end(),
                    [](const Range& a, const Range& b) { return a.first == b.first && a.last == b.last; });
}

}  // namespace zse
