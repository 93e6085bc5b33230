#include "layout.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/refuse.h"

namespace zse {

namespace {

/** Walks the packed codes of whole groups and tells the first that cannot be one. */
class GroupCheck {
 public:
  GroupCheck(int64_t group_bytes, int64_t groups) : group_bytes_(group_bytes), left_(group_bytes), groups_left_(groups) {}

  /** False at the first group without both a 0 and a 15 that is not all 0. */
  bool take(const uint8_t* codes, int64_t bytes) {
    while (bytes > 0 && groups_left_ > 0) {
      const int64_t part = std::min(bytes, left_);
      widen(codes, part);
      codes += part;
      bytes -= part;
      left_ -= part;
      if (left_ > 0) continue;
      if (most_ != 0 && !(least_ == 0 && most_ == 15)) return false;
      least_ = 15;
      most_ = 0;
      left_ = group_bytes_;
      groups_left_--;
    }
    return true;
  }

 private:
  void widen(const uint8_t* codes, int64_t bytes) {
    uint8_t least = least_, most = most_;
    for (int64_t i = 0; i < bytes; i++) {  // written so that compilers make vector instructions of it
      const uint8_t low = codes[i] & 15, high = codes[i] >> 4;
      const uint8_t smaller = low < high ? low : high, larger = low < high ? high : low;
      least = smaller < least ? smaller : least;
      most = larger > most ? larger : most;
    }
    least_ = least;
    most_ = most;
  }

  int64_t group_bytes_, left_, groups_left_;
  uint8_t least_ = 15, most_ = 0;
};

bool fits(const Tensor& tensor, Bytes file, Layout layout) {
  const uint8_t* data = file.data + tensor.data.offset;
  const int64_t columns = tensor.columns();
  const int64_t whole_groups = tensor.elements() / tensor.group_size;  // a padded last group proves nothing
  GroupCheck check(tensor.group_size / 2, whole_groups);
  if (layout == Layout::kRowMajor) return check.take(data, whole_groups * tensor.group_size / 2);
  if (columns % 2 != 0) return false;  // the writer loses a part of such tensors: nobody can have one that is whole
  std::vector<uint8_t> row(static_cast<size_t>(columns / 2));
  for (int64_t r = 0; r < tensor.rows(); r++) {
    gather_tiled_row(data, columns, r, row.data());
    if (!check.take(row.data(), columns / 2)) return false;
  }
  return true;
}

bool undecided(const Tensor& tensor) {
  return tensor.coding == Coding::kInt4Flat && tensor.evidence == LayoutEvidence::kNone;
}

void decide(Tensor& tensor, Bytes file) {
  if (tensor.columns() == 16 && tensor.rows() % 64 == 0) {
    tensor.evidence = LayoutEvidence::kIdentical;
    return;
  }
  const bool as_rows = fits(tensor, file, Layout::kRowMajor);
  const bool as_tiles = fits(tensor, file, Layout::kTiled);
  if (as_rows && as_tiles) return;  // left to the other tensors
  if (!as_rows && !as_tiles) {
    refuse(tensor.data.offset,
           "the INT4 codes of tensor \"" + tensor.name +
               "\" fit neither the row-major nor the tiled layout: groups miss the codes 0 and 15 in both");
  }
  tensor.layout = as_tiles ? Layout::kTiled : Layout::kRowMajor;
  tensor.evidence = LayoutEvidence::kFingerprint;
}

}  // namespace

void decide_layouts(Bytes file, const FileMap* map, ZseContents& contents, const ZseOpenOptions& options) {
  std::vector<Tensor*> open;
  for (Tensor& tensor : contents.tensors) {
    if (!undecided(tensor)) continue;
    if (options.int4_layout) {
      tensor.layout = *options.int4_layout;
      tensor.evidence = LayoutEvidence::kForced;
      if (tensor.layout == Layout::kTiled && tensor.columns() % 2 != 0) {
        refuse(tensor.entry_offset, "tensor \"" + tensor.name + "\" has an odd row length and cannot be read as tiled");
      }
    } else {
      open.push_back(&tensor);
    }
  }
  parallel_for(open.size(), worker_count(0), [&](size_t i) {
    decide(*open[i], file);
    if (map) map->forget(open[i]->data.offset, open[i]->data.size);
  });

  int64_t tiled = 0, row_major = 0;
  for (const Tensor& tensor : contents.tensors) {
    if (tensor.evidence != LayoutEvidence::kFingerprint && tensor.evidence != LayoutEvidence::kSize) continue;
    (tensor.layout == Layout::kTiled ? tiled : row_major)++;
  }
  for (Tensor* tensor : open) {
    if (!undecided(*tensor)) continue;
    const bool majority = tiled != row_major;
    const bool as_tiles = majority ? tiled > row_major : contents.config.quant.tiled_weights.value_or(true);
    tensor->layout = as_tiles && tensor->columns() % 2 == 0 ? Layout::kTiled : Layout::kRowMajor;
    tensor->evidence = majority ? LayoutEvidence::kMajority : LayoutEvidence::kFlag;
  }
}

int64_t tiled_row_offset(int64_t columns, int64_t row) {
  const int64_t tiles = (columns + 15) / 16;
  return row / kTileRows * tiles * kTileBytes + row % kTileRows * kTileRowBytes;
}

void gather_tiled_row(const uint8_t* data, int64_t columns, int64_t row, uint8_t* out) {
  const int64_t bytes = columns / 2;
  const uint8_t* from = data + tiled_row_offset(columns, row);
  int64_t at = 0;
  for (; at + kTileRowBytes <= bytes; at += kTileRowBytes, from += kTileBytes) std::memcpy(out + at, from, kTileRowBytes);
  if (at < bytes) std::memcpy(out + at, from, static_cast<size_t>(bytes - at));
}

}  // namespace zse
