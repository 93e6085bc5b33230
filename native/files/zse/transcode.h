// Owns turning the rows of a .zse tensor into float32 or into ggml's own blocks. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "tensor.h"

namespace zse {

/** Of ggml's tensor types those that a .zse file becomes, with ggml's numbers. */
enum class GgmlType : uint32_t { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ8_0 = 8 };

const char* to_string(GgmlType type);

/** Bytes of a row of `columns` elements. */
uint64_t row_bytes(GgmlType type, int64_t columns);

/**
 * The type that keeps a 2-D tensor's values exactly: Q4_1, Q4_0 or Q8_0 where rows and groups are multiples of 32, F16 for float16.
 * Where there is none, F16, which rounds (`exact` is then false).
 */
struct TypeChoice {
  GgmlType type;
  bool exact;
};
TypeChoice choose_type(const Tensor& tensor);

/** Whether none of `count` float16 numbers is an infinity or no number. */
bool all_finite_halves(const uint8_t* halves, uint64_t count);

/**
 * Reads a tensor's rows. It keeps a buffer for the row in hand: one for each thread. Throws BAD_MODEL for a scale, zero or float that
 * is not finite.
 */
class RowReader {
 public:
  RowReader(const Tensor& tensor, Bytes file);

  /** Row `row` as float32: exactly what the file says, in logical order. `out` has columns() places. */
  void decode(int64_t row, float* out);

  /** Row `row` as `type`, which is choose_type's, kF32 or kF16, with `add` added to each value (of floats only). */
  void encode(int64_t row, GgmlType type, uint8_t* out, float add = 0);

 private:
  const uint8_t* packed_row(int64_t row);
  float finite(const uint8_t* half, const char* part) const;
  void copy_finite(const uint8_t* half, const char* part, uint8_t* out) const;
  void decode_flat(int64_t row, float* out);
  void decode_rows(int64_t row, float* out);
  void encode_q4_1(int64_t row, uint8_t* out);
  void encode_q4_0(int64_t row, uint8_t* out);
  void encode_q8_0(int64_t row, uint8_t* out);
  void copy_f16(int64_t row, uint8_t* out);

  const Tensor& tensor_;
  const uint8_t *data_, *scales_, *zeros_;
  int64_t columns_;
  std::vector<uint8_t> packed_;
  std::vector<float> values_;
};

}  // namespace zse
