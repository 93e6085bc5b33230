// Owns in what numbers the matrix kernels take a step's rows. Pure; any thread.
#pragma once

namespace zse {

/** A step with fewer rows takes about as long. So a step's rows are the first group, and whole ones after it. */
struct RowGroups {
  int first = 4;
  int next = 4;

  /** Whole groups that hold `rows`. */
  int up(int rows) const { return rows <= first ? first : first + (rows - first + next - 1) / next * next; }

  /** How many rows a step may have over what there is time for, if they fill its last group. */
  int over() const { return (next - 1) / 3; }

  /** Whole groups in `rows`, and the first at least. */
  int down(int rows) const { return rows <= first ? first : first + (rows - first) / next * next; }
};

}  // namespace zse
