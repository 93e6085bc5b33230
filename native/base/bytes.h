// Owns a view of bytes that somebody else keeps alive, and how little-endian numbers are read from it. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace zse {

/** Reads a little-endian number at any alignment. zStream runs on little-endian machines only, as llama.cpp's GGUF does. */
template <typename T>
T load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

struct Bytes {
  const uint8_t* data = nullptr;
  uint64_t size = 0;

  /** True when [offset, offset + count) lies inside; cannot wrap. */
  bool holds(uint64_t offset, uint64_t count) const { return offset <= size && count <= size - offset; }
  /** The caller has asked holds(). */
  Bytes part(uint64_t offset, uint64_t count) const { return {data + offset, count}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data), static_cast<size_t>(size)}; }
};

/** A part of the file: bytes [offset, offset + size) from its start. */
struct Range {
  uint64_t offset = 0;
  uint64_t size = 0;
};

}  // namespace zse
