// Owns turning the rows of a .zse tensor into float32 or into ggml's own blocks. Pure; any thread.
#pragma once

#include <cstdint>

#include "bytes.h"
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

/** Rows [first, first + count) as float32, exact, in logical order. `out` has count * columns places. */
void decode_rows(const Tensor& tensor, Bytes file, int64_t first, int64_t count, float* out);

/**
 * Row `row` as `type`, which is choose_type's or kF32 or kF16; `out` has row_bytes() places. Throws BAD_MODEL for a scale, zero or
 * float16 value that is not finite.
 */
void encode_row(const Tensor& tensor, Bytes file, int64_t row, GgmlType type, uint8_t* out);

}  // namespace zse
