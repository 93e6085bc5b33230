#include <cstdint>

#include "check.h"
#include "kernels/rounded_pieces.h"

using zse::kernels::Piece;
using zse::kernels::Pieces;

namespace {

/** Eight rows lie together, then what is left. */
struct Eights {
  static constexpr int64_t kPieceColumns = 256;
  static int together(int rows, int first) { return rows - first < 8 ? rows - first : 8; }
};

/** Places are filled up to sixteen. */
struct Sixteens {
  static constexpr int64_t kPieceColumns = 256;
  static int together(int, int) { return 16; }
};

/** Rows are rounded whole. */
struct Whole {
  static constexpr int64_t kPieceColumns = INT64_MAX;
  static int together(int rows, int first) { return rows - first < 4 ? 1 : 4; }
};

/** Where a piece begins and ends in the work buffer, in bytes of a row's columns. */
template <class Kind>
void follow_each_other(int rows, int64_t columns) {
  const Pieces<Kind> pieces(rows, columns);
  int64_t end = 0, values = 0;
  for (int64_t i = 0; i < pieces.count(); i++) {
    const Piece piece = pieces[i];
    CHECK_EQ(piece.first * columns + piece.column * piece.together, end);
    end += piece.together * (piece.end - piece.column);
    values += piece.rows * (piece.end - piece.column);
  }
  CHECK_EQ(values, rows * columns);
}

}  // namespace

TEST("pieces of activations that are rounded lie one after the other, and hold all of them") {
  for (const int rows : {1, 2, 7, 8, 9, 16, 17, 64, 509}) {
    for (const int64_t columns : {32, 256, 288, 896, 8960}) {
      follow_each_other<Eights>(rows, columns);
      follow_each_other<Sixteens>(rows, columns);
      follow_each_other<Whole>(rows, columns);
    }
  }
}
