// Owns how one tensor lies in a .zse file: its coding, its layout, where its bytes are. Plain data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace zse {

/** How values are written. N rows of K columns, groups of g elements; scales and zeros are fp16. */
enum class Coding {
  kF32,
  kF16,
  kInt8Flat,  // generation 2: q * scale, groups run over the flattened tensor, the last one padded
  kInt4Flat,  // generation 2: q * scale + zero, q in 0..15, groups as above
  kInt8Rows,  // generation 1: q * scale, one scale for each row
  kInt4Rows,  // generation 1: (q - 8) * scale, groups run within rows, each row padded to whole groups
};

/** Order of the nibbles of a kInt4Flat tensor. */
enum class Layout {
  kRowMajor,
  kTiled,  // tiles of 64 rows by 16 columns, 8 bytes to each row of a tile
};

/** What told a kInt4Flat tensor's layout. */
enum class LayoutEvidence {
  kNone,         // not a kInt4Flat tensor
  kRank,         // only 2-D tensors are ever tiled
  kSize,         // the number of bytes fits one layout only
  kFingerprint,  // every full group reaches codes 0 and 15 in one layout, and not in the other
  kIdentical,    // both layouts put every byte at the same place
  kMajority,     // as most of the file's other tensors
  kFlag,         // as the file's tiled_weights says, for want of anything better
  kForced,       // the caller said so
};

struct Tensor {
  std::string name;            // canonical: the Hugging Face name without a leading "model."
  std::vector<int64_t> shape;  // logical, slowest dimension first; 1 to 4 dimensions, each positive
  Coding coding = Coding::kF16;
  int64_t group_size = 0;  // elements; 0 where there are no groups
  Layout layout = Layout::kRowMajor;
  LayoutEvidence evidence = LayoutEvidence::kNone;
  Range data, scales, zeros;  // in the file, checked to lie inside it; scales and zeros empty where the coding has none
  uint64_t entry_offset = 0;  // of its entry in the index, for messages

  int64_t columns() const { return shape.back(); }  // K
  int64_t rows() const {                            // N; 1 for a vector
    int64_t n = 1;
    for (size_t i = 0; i + 1 < shape.size(); i++) n *= shape[i];
    return n;
  }
  int64_t elements() const { return rows() * columns(); }
};

const char* to_string(Coding coding);
const char* to_string(Layout layout);
const char* to_string(LayoutEvidence evidence);

}  // namespace zse
