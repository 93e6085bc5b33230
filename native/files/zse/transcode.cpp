#include "transcode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/half.h"
#include "base/refuse.h"
#include "layout.h"

namespace zse {

namespace {

constexpr int64_t kBlock = 32;  // elements of one row in each of ggml's blocks of the types used here

/** Packed codes of one row of generation 1's INT4: each row is padded to whole groups. */
int64_t padded_columns(const Tensor& tensor) {
  return (tensor.columns() + tensor.group_size - 1) / tensor.group_size * tensor.group_size;
}

/** The group of each block of 32 in turn, in tensors whose groups are whole blocks: without a division for each. */
class GroupCursor {
 public:
  GroupCursor(int64_t element, int64_t group_size)
      : size_(group_size), index_(element / group_size), left_(group_size - element % group_size) {}

  int64_t index() const { return index_; }
  void next_block() {
    left_ -= kBlock;
    if (left_ > 0) return;
    index_++;
    left_ = size_;
  }

 private:
  int64_t size_, index_, left_;  // left_: elements of the group that are still to come
};

/**
 * Twice eight packed bytes, two neighbouring codes in each, become ggml's: byte i holds element i in its lower half and element i + 16
 * in its upper half. Eight bytes are one number here, whichever end of it is first.
 */
void pair_with_16_later(const uint8_t* first_half, const uint8_t* second_half, uint8_t* out) {
  constexpr uint64_t kLower = 0x0F0F0F0F0F0F0F0F;
  const auto first = load<uint64_t>(first_half), later = load<uint64_t>(second_half);
  const uint64_t even = (first & kLower) | (later & kLower) << 4;
  const uint64_t odd = (first >> 4 & kLower) | (later & ~kLower);
  uint8_t evens[8], odds[8];
  std::memcpy(evens, &even, sizeof evens);
  std::memcpy(odds, &odd, sizeof odds);
  for (int i = 0; i < 8; i++) {  // one vector instruction
    out[2 * i] = evens[i];
    out[2 * i + 1] = odds[i];
  }
}

}  // namespace

const char* to_string(GgmlType type) {
  switch (type) {
    case GgmlType::kF32: return "F32";
    case GgmlType::kF16: return "F16";
    case GgmlType::kQ4_0: return "Q4_0";
    case GgmlType::kQ4_1: return "Q4_1";
    case GgmlType::kQ8_0: return "Q8_0";
  }
  return "";
}

uint64_t row_bytes(GgmlType type, int64_t columns) {
  const auto count = static_cast<uint64_t>(columns);
  switch (type) {
    case GgmlType::kF32: return count * 4;
    case GgmlType::kF16: return count * 2;
    case GgmlType::kQ4_0: return count / kBlock * 18;
    case GgmlType::kQ4_1: return count / kBlock * 20;
    case GgmlType::kQ8_0: return count / kBlock * 34;
  }
  return 0;
}

bool all_finite_halves(const uint8_t* halves, uint64_t count) {
  uint16_t bad = 0;
  for (uint64_t k = 0; k < count; k++) bad |= is_finite_half(load<uint16_t>(halves + 2 * k)) ? 0 : 1;
  return bad == 0;
}

TypeChoice choose_type(const Tensor& tensor) {
  const bool whole_blocks = tensor.columns() % kBlock == 0 && tensor.group_size % kBlock == 0;
  switch (tensor.coding) {
    case Coding::kF32: return {GgmlType::kF32, true};
    case Coding::kF16: return {GgmlType::kF16, true};
    case Coding::kInt4Flat: return whole_blocks ? TypeChoice{GgmlType::kQ4_1, true} : TypeChoice{GgmlType::kF16, false};
    case Coding::kInt4Rows: return whole_blocks ? TypeChoice{GgmlType::kQ4_0, true} : TypeChoice{GgmlType::kF16, false};
    case Coding::kInt8Flat:
    case Coding::kInt8Rows: return whole_blocks ? TypeChoice{GgmlType::kQ8_0, true} : TypeChoice{GgmlType::kF16, false};
  }
  return {GgmlType::kF16, false};
}

RowReader::RowReader(const Tensor& tensor, Bytes file)
    : tensor_(tensor),
      data_(file.data + tensor.data.offset),
      scales_(file.data + tensor.scales.offset),
      zeros_(file.data + tensor.zeros.offset),
      columns_(tensor.columns()) {
  if (tensor.layout == Layout::kTiled) packed_.resize(static_cast<size_t>(columns_ / 2));
}

float RowReader::finite(const uint8_t* half, const char* part) const {
  const auto bits = load<uint16_t>(half);
  if (is_finite_half(bits)) return half_to_float(bits);
  const uint8_t* start = data_ - tensor_.data.offset;
  refuse(static_cast<uint64_t>(half - start), std::string(part) + " of tensor \"" + tensor_.name +
                                                  "\" is not finite: the weights overflowed when the model was converted");
}

/** The row's codes, two in each byte; the row begins on a whole byte. */
const uint8_t* RowReader::packed_row(int64_t row) {
  if (tensor_.layout == Layout::kTiled) {
    gather_tiled_row(data_, columns_, row, packed_.data());
    return packed_.data();
  }
  const int64_t stored = tensor_.coding == Coding::kInt4Rows ? padded_columns(tensor_) : columns_;
  return data_ + row * stored / 2;
}

void RowReader::decode(int64_t row, float* out) {
  switch (tensor_.coding) {
    case Coding::kF32:
      std::memcpy(out, data_ + row * columns_ * 4, static_cast<size_t>(columns_) * 4);
      for (int64_t k = 0; k < columns_; k++) {
        if (std::isfinite(out[k])) continue;
        refuse(tensor_.data.offset + static_cast<uint64_t>(row * columns_ + k) * 4,
               "a value of tensor \"" + tensor_.name + "\" is not finite");
      }
      return;
    case Coding::kF16: {
      const uint8_t* from = data_ + row * columns_ * 2;
      for (int64_t k = 0; k < columns_; k++) out[k] = finite(from + 2 * k, "a value");
      return;
    }
    case Coding::kInt8Flat:
    case Coding::kInt4Flat: return decode_flat(row, out);
    case Coding::kInt8Rows:
    case Coding::kInt4Rows: return decode_rows(row, out);
  }
}

/** Groups run over the flattened tensor, so one may begin in the row before. */
void RowReader::decode_flat(int64_t row, float* out) {
  const bool is_int4 = tensor_.coding == Coding::kInt4Flat;
  const int64_t first = row * columns_, group_size = tensor_.group_size;
  // Row-major codes are one stream: a row of odd length may begin in the middle of a byte.
  const bool tiled = tensor_.layout == Layout::kTiled;
  const uint8_t* packed = tiled ? packed_row(row) : data_;
  const int64_t shift = tiled ? 0 : first;
  for (int64_t k = 0; k < columns_;) {
    const int64_t group = (first + k) / group_size;
    const int64_t end = std::min(columns_, (group + 1) * group_size - first);
    const float scale = finite(scales_ + 2 * group, "a scale");
    if (is_int4) {
      const float zero = finite(zeros_ + 2 * group, "a zero");
      for (; k < end; k++) {
        const int64_t at = shift + k;
        const int code = packed[at / 2] >> (at % 2 * 4) & 15;
        out[k] = static_cast<float>(code) * scale + zero;
      }
    } else {
      for (; k < end; k++) out[k] = static_cast<float>(static_cast<int8_t>(data_[first + k])) * scale;
    }
  }
}

void RowReader::decode_rows(int64_t row, float* out) {
  if (tensor_.coding == Coding::kInt8Rows) {
    const float scale = finite(scales_ + 2 * row, "a scale");
    for (int64_t k = 0; k < columns_; k++)
      out[k] = static_cast<float>(static_cast<int8_t>(data_[row * columns_ + k])) * scale;
    return;
  }
  const uint8_t* packed = packed_row(row);
  const int64_t groups = padded_columns(tensor_) / tensor_.group_size;
  for (int64_t k = 0; k < columns_; k++) {
    const float scale = finite(scales_ + 2 * (row * groups + k / tensor_.group_size), "a scale");
    out[k] = static_cast<float>((packed[k / 2] >> (k % 2 * 4) & 15) - 8) * scale;
  }
}

void RowReader::encode(int64_t row, GgmlType type, uint8_t* out, float add) {
  switch (type) {
    case GgmlType::kQ4_1: return encode_q4_1(row, out);
    case GgmlType::kQ4_0: return encode_q4_0(row, out);
    case GgmlType::kQ8_0: return encode_q8_0(row, out);
    case GgmlType::kF16:
      if (tensor_.coding == Coding::kF16 && add == 0) return copy_f16(row, out);
      break;
    case GgmlType::kF32: break;
  }
  values_.resize(static_cast<size_t>(columns_));
  decode(row, values_.data());
  if (add != 0) {
    for (float& value : values_) value += add;
  }
  if (type == GgmlType::kF32) {
    std::memcpy(out, values_.data(), values_.size() * sizeof(float));
    return;
  }
  for (size_t k = 0; k < values_.size(); k++) {
    const uint16_t half = float_to_half(values_[k]);
    std::memcpy(out + 2 * k, &half, sizeof half);
  }
}

/** A scale or zero into a block, as it is. */
inline void RowReader::copy_finite(const uint8_t* half, const char* part, uint8_t* out) const {
  if (!is_finite_half(load<uint16_t>(half))) finite(half, part);  // says where
  std::memcpy(out, half, 2);
}

void RowReader::encode_q4_1(int64_t row, uint8_t* out) {
  // A block is twice eight bytes: neighbours in a row-major row, one tile after the other in a tiled one.
  const bool tiled = tensor_.layout == Layout::kTiled;
  const uint8_t* packed = tiled ? data_ + tiled_row_offset(columns_, row) : packed_row(row);
  const int64_t half = tiled ? kTileBytes : kBlock / 4;
  GroupCursor group(row * columns_, tensor_.group_size);
  for (int64_t k = 0; k < columns_; k += kBlock, packed += 2 * half, out += 20, group.next_block()) {
    copy_finite(scales_ + 2 * group.index(), "a scale", out);
    copy_finite(zeros_ + 2 * group.index(), "a zero", out + 2);
    pair_with_16_later(packed, packed + half, out + 4);
  }
}

void RowReader::encode_q4_0(int64_t row, uint8_t* out) {
  const uint8_t* packed = packed_row(row);
  GroupCursor group(row * padded_columns(tensor_), tensor_.group_size);
  for (int64_t k = 0; k < columns_; k += kBlock, packed += kBlock / 2, out += 18, group.next_block()) {
    copy_finite(scales_ + 2 * group.index(), "a scale", out);
    pair_with_16_later(packed, packed + kBlock / 4, out + 2);
  }
}

void RowReader::encode_q8_0(int64_t row, uint8_t* out) {
  const bool flat = tensor_.coding == Coding::kInt8Flat;
  const uint8_t* codes = data_ + row * columns_;
  GroupCursor group(row * columns_, flat ? tensor_.group_size : columns_);
  for (int64_t k = 0; k < columns_; k += kBlock, codes += kBlock, out += 34, group.next_block()) {
    copy_finite(scales_ + 2 * group.index(), "a scale", out);
    std::memcpy(out + 2, codes, kBlock);
  }
}

void RowReader::copy_f16(int64_t row, uint8_t* out) {
  const uint8_t* from = data_ + row * columns_ * 2;
  std::memcpy(out, from, static_cast<size_t>(columns_) * 2);
  if (all_finite_halves(from, static_cast<uint64_t>(columns_))) return;
  for (int64_t k = 0; k < columns_; k++) finite(from + 2 * k, "a value");  // says where
}

}  // namespace zse
