#include "quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/half.h"

namespace zse {

namespace {

constexpr size_t kQ8Block = 32, kQ8Bytes = 34;  // ggml's block_q8_0: float16 scale, 32 codes

uint16_t checked_half(float value) {
  const uint16_t half = float_to_half(value);
  if (!is_finite_half(half)) {
    throw EngineError("UNSUPPORTED", "a weight of " + std::to_string(value) + " is beyond what float16 holds (65504)");
  }
  return half;
}

void append(std::string& out, const std::vector<uint16_t>& halves) {
  out.append(reinterpret_cast<const char*>(halves.data()), halves.size() * sizeof(uint16_t));
}

}  // namespace

void GroupQuantizer::take(const float* values, size_t count, std::string& codes) {
  if (quant_ == Quant::kFp16) {
    std::vector<uint16_t> halves(count);
    std::transform(values, values + count, halves.begin(), checked_half);
    append(codes, halves);
    return;
  }
  while (count > 0) {
    const size_t part = std::min(count, group_ - pending_.size());
    pending_.insert(pending_.end(), values, values + part);
    values += part;
    count -= part;
    if (pending_.size() == group_) flush(codes);
  }
}

void GroupQuantizer::take_q8_0(const uint8_t* blocks, size_t count, std::string& codes) {
  for (size_t i = 0; i < count; i++, blocks += kQ8Bytes) {
    uint16_t scale;
    std::memcpy(&scale, blocks, sizeof scale);
    if (!is_finite_half(scale)) throw EngineError("BAD_MODEL", "a Q8_0 block has a scale that is not finite");
    scales_.push_back(scale);
    codes.append(reinterpret_cast<const char*>(blocks) + sizeof scale, kQ8Block);
  }
}

void GroupQuantizer::flush(std::string& codes) {
  for (const float value : pending_) {
    if (!std::isfinite(value)) throw EngineError("BAD_MODEL", "a weight is not a finite number");
  }
  if (quant_ == Quant::kInt8) {
    flush_int8(codes);
  } else {
    flush_int4(codes);
  }
  pending_.clear();
}

void GroupQuantizer::flush_int8(std::string& codes) {
  float largest = 0;
  for (const float value : pending_) largest = std::max(largest, std::fabs(value));
  const uint16_t scale = checked_half(largest / 127);
  const bool nothing = (scale & 0x7FFF) == 0;  // all values are 0, or too small for a float16 scale
  scales_.push_back(nothing ? float_to_half(1) : scale);
  const float inverse = nothing ? 0 : 127 / largest;
  for (const float value : pending_) codes += static_cast<char>(std::lrint(value * inverse));
}

// The least value gets code 0 and the largest 15, always: by that a reader tells this layout from the tiled one.
void GroupQuantizer::flush_int4(std::string& codes) {
  const auto [least, largest] = std::minmax_element(pending_.begin(), pending_.end());
  const float zero = *least, range = *largest - zero;
  const uint16_t scale = checked_half(range / 15);
  const bool constant = (scale & 0x7FFF) == 0;
  scales_.push_back(constant ? float_to_half(1) : scale);
  zeros_.push_back(checked_half(zero));
  const float inverse = constant ? 0 : 15 / range;
  const auto code = [&](float value) {
    return static_cast<unsigned>(std::clamp<long>(std::lrint((value - zero) * inverse), 0, 15));
  };
  for (size_t i = 0; i + 1 < pending_.size(); i += 2)
    codes += static_cast<char>(code(pending_[i]) | code(pending_[i + 1]) << 4);
}

void GroupQuantizer::finish(std::string& codes) {
  if (!pending_.empty()) {
    pending_.resize(group_, 0);
    flush(codes);
  }
  append(codes, scales_);
  append(codes, zeros_);
}

CodedSize coded_size(Quant quant, uint64_t elements, int64_t group_size) {
  if (quant == Quant::kFp16) return {elements * 2, 0, 0};
  const auto size = static_cast<uint64_t>(group_size);
  const uint64_t groups = (elements + size - 1) / size;
  if (quant == Quant::kInt8) return {groups * size, groups * 2, 0};
  return {groups * size / 2, groups * 2, groups * 2};
}

}  // namespace zse
