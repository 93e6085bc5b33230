// Owns copying between llama.cpp's KV cache and an image in pieces (vendor/patches/0006-state-in-pieces). Decode thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "core/decoder.h"
#include "ggml-backend.h"
#include "llama.h"

namespace zse {

/** llama.cpp reads and writes the small parts of an image at once; the copies of keys and values are collected, and made by advance(). */
class LlamaSlotCopy final : public SlotCopy {
 public:
  enum class Direction { kOut, kIn };

  LlamaSlotCopy(Direction direction, std::shared_ptr<const SlotImage> image)
      : SlotCopy(std::move(image)), direction_(direction) {}

  /** Collects the copies that `call` would make. False when it failed, or there is no memory for the list. */
  template <class Call>
  bool collect(Call call) {
    zse_state_collect_copies(
        [](void* self, ggml_tensor* tensor, size_t offset, void* host, size_t size) {
          static_cast<LlamaSlotCopy*>(self)->add({tensor, offset, static_cast<uint8_t*>(host), size});
        },
        this);
    const bool ok = call();
    zse_state_collect_copies(nullptr, nullptr);
    return ok && !out_of_memory_;
  }

  bool sound() const override { return sound_; }

  /** Makes the copies of the image's end, from there on, before all others. */
  void finish_from(const uint8_t* host) {
    const auto rest =
        std::stable_partition(parts_.begin(), parts_.end(), [host](const Part& part) { return part.host >= host; });
    const auto count = static_cast<size_t>(rest - parts_.begin());
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += parts_[i].size;
    advance(bytes);
  }

  bool advance(size_t bytes) override {
    if (!sound_) return true;
    while (next_ < parts_.size() && bytes > 0) {
      const Part& part = parts_[next_];
      const size_t left = part.size - done_, block = ggml_type_size(part.tensor->type);
      const size_t size = std::min(std::max(bytes / block, size_t{1}) * block, left);  // whole blocks, which are looked at
      if (direction_ == Direction::kOut) {
        ggml_backend_tensor_get(part.tensor, part.host + done_, part.offset + done_, size);
      } else {
        if (!are_numbers(part.tensor->type, part.host + done_,
                         size)) {  // they could reach other sequences through their attention
          sound_ = false;
          return true;
        }
        ggml_backend_tensor_set(part.tensor, part.host + done_, part.offset + done_, size);
      }
      bytes -= std::min(bytes, size);
      done_ += size;
      if (done_ < part.size) continue;
      next_++;
      done_ = 0;
    }
    return next_ == parts_.size();
  }

 private:
  struct Part {
    ggml_tensor* tensor;
    size_t offset;  // in the tensor
    uint8_t* host;
    size_t size;
  };

  /** Whether none of the elements is infinite or NaN: all bits of the exponent are set then. */
  template <class Element, Element kExponent>
  static bool are_finite(const uint8_t* bytes, size_t size) {
    Element bad = 0;
    for (size_t at = 0; at + sizeof(Element) <= size; at += sizeof(Element)) {
      Element element;
      std::memcpy(&element, bytes + at, sizeof element);
      bad |= (element & kExponent) == kExponent;
    }
    return bad == 0;
  }
  /** The same of blocks that begin with a scale, and have whole numbers otherwise. */
  static bool are_finite_blocks(const uint8_t* bytes, size_t size, size_t block) {
    constexpr uint16_t kExponent = 0x7C00;
    bool bad = false;
    for (size_t at = 0; at + block <= size; at += block) {
      uint16_t scale;
      std::memcpy(&scale, bytes + at, sizeof scale);
      bad |= (scale & kExponent) == kExponent;
    }
    return !bad;
  }
  static bool are_numbers(ggml_type type, const uint8_t* bytes, size_t size) {
    switch (type) {
      case GGML_TYPE_F16: return are_finite<uint16_t, 0x7C00>(bytes, size);
      case GGML_TYPE_BF16: return are_finite<uint16_t, 0x7F80>(bytes, size);
      case GGML_TYPE_F32: return are_finite<uint32_t, 0x7F800000>(bytes, size);
      case GGML_TYPE_Q8_0:
      case GGML_TYPE_Q4_0: return are_finite_blocks(bytes, size, ggml_type_size(type));
      default: return true;
    }
  }

  void add(const Part& part) noexcept try {  // called in a destructor of llama.cpp's
    parts_.push_back(part);
  } catch (const std::bad_alloc&) {
    out_of_memory_ = true;
  }

  const Direction direction_;
  std::vector<Part> parts_;
  size_t next_ = 0, done_ = 0;  // the part that is being copied, and its bytes that are
  bool out_of_memory_ = false, sound_ = true;
};

}  // namespace zse
