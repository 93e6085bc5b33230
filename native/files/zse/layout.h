// Owns telling whether generation 2's INT4 matrices are tiled or row-major, which no field of the file says, and reading
// their rows in either order. Pure; any thread.
//
// A group's smallest value has code 0 and its largest code 15, so in the right layout every whole group holds both (or is all 0, where
// its values are equal). In the wrong one groups are mixtures, and some miss one of the two: all groups are looked at, since with evenly
// distributed weights and large groups only one in ten thousand gives it away.
#pragma once

#include "base/bytes.h"
#include "base/file_map.h"
#include "contents.h"

namespace zse {

/**
 * Sets layout and evidence of every kInt4Flat matrix that could be of either. Reads their codes, with a thread for each core; `map`, if the
 * bytes are of one, forgets them again. Throws BAD_MODEL for codes that fit neither layout.
 */
void decide_layouts(Bytes file, const FileMap* map, ZseContents& contents, const ZseOpenOptions& options);

/** A tile: 64 rows of 8 bytes, which are 16 columns. */
constexpr int64_t kTileRows = 64, kTileRowBytes = 8, kTileBytes = kTileRows * kTileRowBytes;

/** Where a row's first 8 bytes are in a tiled matrix; its others follow at a distance of kTileBytes each. */
int64_t tiled_row_offset(int64_t columns, int64_t row);

/**
 * The packed codes of one row of a tiled matrix, in row-major order: columns / 2 bytes (columns is even), two codes in each, the lower
 * half first.
 */
void gather_tiled_row(const uint8_t* data, int64_t columns, int64_t row, uint8_t* out);

}  // namespace zse
