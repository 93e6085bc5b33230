// Owns turning float32 values into generation 2's codings: float16, INT8 symmetric and INT4 asymmetric, row-major, in groups that run
// over the flattened tensor (docs/ZSE-FORMAT.md). Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace zse {

/** How the linear weights are to be stored. */
enum class Quant { kFp16, kInt8, kInt4 };

/**
 * Takes a tensor's values in order and gives out their codes as they become known; scales and zeros are kept until the end, as the
 * format has them after all codes.
 */
class GroupQuantizer {
 public:
  GroupQuantizer(Quant quant, int64_t group_size) : quant_(quant), group_(static_cast<size_t>(group_size)) {}

  /** Appends the codes of whole groups to `codes`. Throws EngineError UNSUPPORTED for values beyond float16. */
  void take(const float* values, size_t count, std::string& codes);

  /** Takes a group of 32 as ggml's Q8_0 has it: its scale and codes are INT8's own. */
  void take_q8_0(const uint8_t* blocks, size_t count, std::string& codes);

  /** The last group, padded with zeros if it is not whole; then scales and, for INT4, zeros. */
  void finish(std::string& codes);

 private:
  void flush(std::string& codes);
  void flush_int4(std::string& codes);
  void flush_int8(std::string& codes);

  Quant quant_;
  size_t group_;
  std::vector<float> pending_;
  std::vector<uint16_t> scales_, zeros_;
};

/** Bytes of a tensor of `elements` values so coded: codes, scales, zeros. */
struct CodedSize {
  uint64_t data = 0, scales = 0, zeros = 0;
  uint64_t total() const { return data + scales + zeros; }
};
CodedSize coded_size(Quant quant, uint64_t elements, int64_t group_size);

}  // namespace zse
