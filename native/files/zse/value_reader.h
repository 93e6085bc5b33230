// Owns reading generation 2's tagged values: a cursor over one section, which holds exactly one value. Nothing is allocated, so a
// hostile file can cost no memory here; every length is checked against the bytes left, lists and maps nest 32 deep at most.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace zse {

class ValueReader {
 public:
  /** `section` is bytes [range.offset, …) of the file; `name` is for messages. */
  ValueReader(Bytes file, Range range, std::string name)
      : file_(file), at_(range.offset), end_(range.offset + range.size), name_(std::move(name)) {}

  /** Place in the file of the value that comes next. */
  uint64_t offset() const { return at_; }
  bool next_is_null() const { return at_ < end_ && file_.data[at_] == kNull; }
  bool next_is_map() const { return at_ < end_ && file_.data[at_] == kMap; }
  bool next_is_text() const { return at_ < end_ && file_.data[at_] == kText; }
  bool next_is_flag() const { return at_ < end_ && (file_.data[at_] == kTrue || file_.data[at_] == kFalse); }

  // Each takes the value that comes next, or throws BAD_MODEL saying what `what` should be and what is there instead.

  int64_t integer(const char* what);
  /** Whole numbers may be stored as integers, whatever they mean. */
  double number(const char* what);
  bool boolean(const char* what);
  std::string_view text(const char* what);
  void skip() { skip_at(depth_); }

  /** Calls `entry(key)` for each entry; it takes the value with one of the above. */
  template <typename F>
  void map(const char* what, F&& entry) {
    const uint32_t count = open(kMap, 2, what);
    for (uint32_t i = 0; i < count; i++) entry(text("the key of an entry"));
    depth_--;
  }

  /** Calls `item()` for each item. */
  template <typename F>
  void list(const char* what, F&& item) {
    const uint32_t count = open(kList, 1, what);
    for (uint32_t i = 0; i < count; i++) item();
    depth_--;
  }

  /** Throws where bytes follow the section's value. */
  void finish() const;

  [[noreturn]] void refuse_here(const std::string& what) const;

 private:
  static constexpr uint8_t kNull = 0x00, kFalse = 0x01, kTrue = 0x02, kInteger = 0x10, kFloat = 0x11, kBytes = 0x20,
                           kText = 0x21, kList = 0x30, kMap = 0x40;
  static constexpr int kDepthLimit = 32;

  uint64_t left() const { return end_ - at_; }
  uint8_t tag();
  template <typename T>
  T take();
  /** Takes the tag and count of a list or map, each of whose elements has at least `element_bytes`. */
  uint32_t open(uint8_t tag, uint64_t element_bytes, const char* what);
  uint32_t count(uint64_t element_bytes);
  std::string_view text_body();
  void skip_at(int depth);
  [[noreturn]] void unexpected(uint8_t tag, const char* wanted, const char* what) const;

  Bytes file_;
  uint64_t at_, end_;
  int depth_ = 0;
  std::string name_;
};

/** True for well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool is_utf8(std::string_view text);

}  // namespace zse
