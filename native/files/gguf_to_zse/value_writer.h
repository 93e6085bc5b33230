// Owns writing generation 2's tagged values (docs/ZSE-FORMAT.md), the counterpart of value_reader.h. Pure; any thread.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace zse {

/** Appends values in the order of the calls; a list or a map is its count, followed by that many items or keys with values. */
class ValueWriter {
 public:
  const std::string& bytes() const { return bytes_; }

  void boolean(bool value) { bytes_ += value ? '\x02' : '\x01'; }
  void integer(int64_t value) { tagged('\x10', value); }
  void number(double value) { tagged('\x11', value); }
  void text(std::string_view value) {
    tagged('\x21', count_of(value.size()));
    bytes_ += value;
  }
  void list(uint64_t count) { tagged('\x30', count_of(count)); }
  void map(uint64_t count) { tagged('\x40', count_of(count)); }
  /** Values that were written elsewhere. */
  void raw(std::string_view values) { bytes_ += values; }

 private:
  static uint32_t count_of(uint64_t size) {
    if (size > UINT32_MAX) throw std::length_error("a .zse value holds 4 GiB at most");
    return static_cast<uint32_t>(size);
  }
  template <class Value>
  void tagged(char tag, Value value) {
    bytes_ += tag;
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  std::string bytes_;
};

}  // namespace zse
