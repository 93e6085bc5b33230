// Owns into which pieces activations are cut to be rounded: each is written by one thread. Pure; any thread.
//
// Rows that are multiplied together lie together, a few bytes of each in turn, so in every line of a cache are bytes of many rows. Two threads that round
// rows in turns write to the same lines, and each waits for the other: prompts on two threads took a sixth longer.
#pragma once

#include <algorithm>
#include <cstdint>

namespace zse::kernels {

/** Some rows that are multiplied together, and some columns of them: these lie together in the work buffer. */
struct Piece {
  int first, rows;      // of the activations
  int together;         // places in the work buffer: as many as rows, or more where the last ones are filled up
  int64_t column, end;  // its columns
};

/** All pieces, in the order in which they lie in the work buffer. `Kind` says how many rows lie together, and how many columns make a piece. */
template <class Kind>
class Pieces {
 public:
  Pieces(int rows, int64_t columns)
      : rows_(rows),
        columns_(columns),
        width_(std::min(columns, Kind::kPieceColumns)),
        parts_((columns + width_ - 1) / width_) {
    for (int first = 0; first < rows; first += Kind::together(rows, first)) groups_++;
  }

  int64_t count() const { return groups_ * parts_; }

  Piece operator[](int64_t number) const {
    int first = 0;
    for (int64_t group = number / parts_; group > 0; group--) first += Kind::together(rows_, first);
    const int together = Kind::together(rows_, first);
    const int64_t column = number % parts_ * width_;
    return {first, std::min(together, rows_ - first), together, column, std::min(column + width_, columns_)};
  }

 private:
  int rows_;
  int64_t columns_, width_, parts_, groups_ = 0;
};

}  // namespace zse::kernels
