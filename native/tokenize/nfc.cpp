#include "tokenize/nfc.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <vector>

#include "base/work_bound.h"
#include "tokenize/nfc_tables.h"

namespace zse {

const char* const kNfcUnicodeVersion = nfc_tables::kUnicodeVersion;

namespace {

using namespace nfc_tables;

constexpr uint32_t kNothing = 0xffffffff;
constexpr uint32_t kFirstActive = 0x300;  // all before it stays as it is and composes with nothing before it

// Hangul syllables come apart and together by arithmetic: leading consonants, vowels, trailing consonants.
constexpr uint32_t kSyllables = 0xac00, kLeads = 0x1100, kVowels = 0x1161, kTrails = 0x11a7;
constexpr uint32_t kLeadCount = 19, kVowelCount = 21, kTrailCount = 28,
                   kSyllableCount = kLeadCount * kVowelCount * kTrailCount;

bool is_syllable(uint32_t point) { return point - kSyllables < kSyllableCount; }

struct Point {
  uint32_t value;
  uint8_t rank;  // of its combining class; 0 for a starter
};

/** The last range that begins at or before a code point, if it reaches it. */
template <class R, size_t N>
const R* range_of(const R (&ranges)[N], uint32_t point) {
  const R* after = std::upper_bound(ranges, ranges + N, point, [](uint32_t p, const R& range) { return p < range.first; });
  return after != ranges && point <= std::prev(after)->last ? std::prev(after) : nullptr;
}

uint8_t rank_of(uint32_t point) {
  if (point < kFirstActive) return 0;
  const ClassRange* range = range_of(kClasses, point);
  return range ? range->rank : 0;
}

const Step* step_of(uint32_t point) {
  const Step* found = std::lower_bound(std::begin(kSteps), std::end(kSteps), point,
                                       [](const Step& step, uint32_t p) { return step.point < p; });
  return found != std::end(kSteps) && found->point == point ? found : nullptr;
}

/** What two code points compose to; kNothing where they do not. */
uint32_t composite_of(uint32_t first, uint32_t second) {
  if (first - kLeads < kLeadCount && second - kVowels < kVowelCount) {
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTrailCount;
  }
  if (is_syllable(first) && (first - kSyllables) % kTrailCount == 0 && second - kTrails - 1 < kTrailCount - 1) {
    return first + (second - kTrails);
  }
  const auto before = [&](uint16_t index, uint64_t pair) {
    return (uint64_t{kSteps[index].first} << 32 | kSteps[index].second) < pair;
  };
  const uint64_t pair = uint64_t{first} << 32 | second;
  const uint16_t* found = std::lower_bound(std::begin(kComposites), std::end(kComposites), pair, before);
  if (found == std::end(kComposites) || kSteps[*found].first != first || kSteps[*found].second != second) return kNothing;
  return kSteps[*found].point;
}

/** True where a text may be cut before a code point, and it stays as it is: NFC_Quick_Check is Yes and its class 0. */
bool is_inert(uint32_t point) {
  if (point < kFirstActive) return true;
  if ((kActivePages[point >> 14] >> ((point >> 8) & 63) & 1) == 0) return true;
  if (rank_of(point) != 0 || range_of(kBackward, point)) return false;
  const Step* step = step_of(point);
  return !step || (step->second != 0 && composite_of(step->first, step->second) == point);
}

/** The code point at `at`, and where the next one begins; kNothing, and one byte, where there is no UTF-8. */
uint32_t decode(std::string_view text, size_t at, size_t& next) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  next = at + 1;
  const uint32_t lead = byte(at);
  if (lead < 0x80) return lead;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - at < length) return kNothing;
  uint32_t point = lead & (0x7fu >> length);
  for (size_t i = at + 1; i < at + length; i++) {
    if ((byte(i) & 0xc0) != 0x80) return kNothing;
    point = point << 6 | (byte(i) & 0x3f);
  }
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  if (overlong || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return kNothing;
  next = at + length;
  return point;
}

void encode(uint32_t point, std::string& out) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  const auto put_rest = [&](int shift) { put(0x80 | (point >> shift & 0x3f)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xc0 | point >> 6);
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put_rest(6);
  } else {
    put(0xf0 | point >> 18);
    put_rest(12);
    put_rest(6);
  }
  put_rest(0);
}

/** Appends what a code point comes apart into; that goes four deep at most. */
void decompose(uint32_t point, std::vector<Point>& out) {
  if (is_syllable(point)) {
    const uint32_t index = point - kSyllables;
    out.push_back({kLeads + index / (kVowelCount * kTrailCount), 0});
    out.push_back({kVowels + index / kTrailCount % kVowelCount, 0});
    if (index % kTrailCount != 0) out.push_back({kTrails + index % kTrailCount, 0});
    return;
  }
  const Step* step = point < 0xc0 ? nullptr : step_of(point);
  if (!step) return out.push_back({point, rank_of(point)});
  decompose(step->first, out);
  if (step->second != 0) decompose(step->second, out);
}

/** Puts marks in a row into the order of their classes; those of one class keep theirs. */
void sort_marks(std::vector<Point>::iterator begin, std::vector<Point>::iterator end, std::vector<Point>& scratch) {
  const auto by_rank = [](const Point& a, const Point& b) { return a.rank < b.rank; };
  if (std::is_sorted(begin, end, by_rank)) return;
  scratch.assign(begin, end);
  std::array<size_t, kRanks + 1> places{};  // where the marks of each class go
  for (const Point& mark : scratch) places[mark.rank + 1u]++;
  for (size_t rank = 0; rank < kRanks; rank++) places[rank + 1] += places[rank];
  for (const Point& mark : scratch) *(begin + static_cast<std::ptrdiff_t>(places[mark.rank]++)) = mark;
}

void put_in_order(std::vector<Point>& points, std::vector<Point>& scratch) {
  for (auto at = points.begin(); at != points.end();) {
    const auto begin = std::find_if(at, points.end(), [](const Point& p) { return p.rank != 0; });
    at = std::find_if(begin, points.end(), [](const Point& p) { return p.rank == 0; });
    work_step(1 + static_cast<uint32_t>((at - begin) / 8));
    if (at - begin > 1) sort_marks(begin, at, scratch);
  }
}

/** Puts together what composes, in place. */
void compose(std::vector<Point>& points) {
  size_t kept = 0;
  size_t starter = points.size();  // none yet
  int between = -1;                // the rank of the last one kept after the starter; -1: it is the last one
  for (size_t i = 0; i < points.size(); i++) {
    if (i % 16 == 15) work_step(4);
    const Point point = points[i];
    if (starter < kept && between < point.rank) {
      const uint32_t composite = composite_of(points[starter].value, point.value);
      if (composite != kNothing) {
        points[starter].value = composite;
        continue;
      }
    }
    if (point.rank == 0) starter = kept;
    between = point.rank == 0 ? -1 : point.rank;
    points[kept++] = point;
  }
  points.resize(kept);
}

}  // namespace

std::string normalize_nfc(std::string_view text) {
  std::string out;
  size_t copied = 0;                // all before it is in `out`
  size_t last = std::string::npos;  // where the code point before `at` begins: what follows may compose with it
  std::vector<Point> points, scratch;
  size_t at = 0;
  uint32_t looked_at = 0;
  while (at < text.size()) {
    size_t next = 0;
    if (looked_at++ % 64 == 0) work_step(4);
    uint32_t point = decode(text, at, next);
    if (point == kNothing || is_inert(point)) {
      last = point == kNothing ? std::string::npos : at;
      at = next;
      continue;
    }
    // From the one before it to the next that is inert: a piece of text that stands for itself.
    if (out.empty()) out.reserve(text.size() + text.size() / 8);
    const size_t begin = last == std::string::npos ? at : last;
    out.append(text, copied, begin - copied);
    points.clear();
    if (begin < at) {
      size_t ignored = 0;
      decompose(decode(text, begin, ignored), points);
    }
    do {
      if (looked_at++ % 16 == 0) work_step(4);
      decompose(point, points);
      at = next;
      if (at == text.size()) break;
      point = decode(text, at, next);
    } while (point != kNothing && !is_inert(point));
    put_in_order(points, scratch);
    compose(points);
    for (const Point& composed : points) encode(composed.value, out);
    copied = at;
    last = std::string::npos;  // the next one is inert, or the end
  }
  if (copied == 0) return std::string(text);
  out.append(text, copied);
  return out;
}

}  // namespace zse
