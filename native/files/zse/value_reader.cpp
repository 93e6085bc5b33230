#include "value_reader.h"

#include <cmath>

#include "base/refuse.h"

namespace zse {

namespace {

const char* name_of(uint8_t tag) {
  switch (tag) {
    case 0x00: return "null";
    case 0x01:
    case 0x02: return "a boolean";
    case 0x10: return "an integer";
    case 0x11: return "a float";
    case 0x20: return "bytes";
    case 0x21: return "a string";
    case 0x30: return "a list";
    case 0x40: return "a map";
    default: return nullptr;
  }
}

}  // namespace

void ValueReader::refuse_here(const std::string& what) const { refuse(at_, what + " (" + name_ + ")"); }

void ValueReader::unexpected(uint8_t tag, const char* wanted, const char* what) const {
  const char* name = name_of(tag);
  const std::string found = name ? name : "the unknown tag " + std::to_string(tag);
  refuse(at_ - 1, std::string(what) + " should be " + wanted + " and is " + found + " (" + name_ + ")");
}

uint8_t ValueReader::tag() {
  if (left() < 1) refuse_here("a value is missing: the section ends here");
  return file_.data[at_++];
}

template <typename T>
T ValueReader::take() {
  if (left() < sizeof(T)) refuse_here("the section ends inside a number");
  const T value = load<T>(file_.data + at_);
  at_ += sizeof(T);
  return value;
}

int64_t ValueReader::integer(const char* what) {
  const uint8_t found = tag();
  if (found != kInteger) unexpected(found, "an integer", what);
  return take<int64_t>();
}

double ValueReader::number(const char* what) {
  const uint8_t found = tag();
  if (found != kInteger && found != kFloat) unexpected(found, "a number", what);
  if (found == kInteger) return static_cast<double>(take<int64_t>());
  const auto value = take<double>();
  if (!std::isfinite(value)) refuse(at_ - sizeof value, std::string(what) + " is not a finite number (" + name_ + ")");
  return value;
}

bool ValueReader::boolean(const char* what) {
  const uint8_t found = tag();
  if (found != kTrue && found != kFalse) unexpected(found, "a boolean", what);
  return found == kTrue;
}

std::string_view ValueReader::text(const char* what) {
  const uint8_t found = tag();
  if (found != kText) unexpected(found, "a string", what);
  return text_body();
}

std::string_view ValueReader::text_body() {
  const uint32_t size = count(1);
  const std::string_view text = file_.part(at_, size).text();
  if (!is_utf8(text)) refuse_here("a string is not valid UTF-8");
  at_ += size;
  return text;
}

uint32_t ValueReader::open(uint8_t wanted, uint64_t element_bytes, const char* what) {
  const uint8_t found = tag();
  if (found != wanted) unexpected(found, name_of(wanted), what);
  if (++depth_ > kDepthLimit) refuse_here("values are nested more than 32 deep");
  return count(element_bytes);
}

uint32_t ValueReader::count(uint64_t element_bytes) {
  const auto count = take<uint32_t>();
  if (count > left() / element_bytes) {
    refuse(at_ - sizeof count, "a length or count of " + std::to_string(count) + " does not fit the " +
                                   std::to_string(left()) + " bytes left of the section (" + name_ + ")");
  }
  return count;
}

void ValueReader::skip_at(int depth) {
  const uint8_t found = tag();
  switch (found) {
    case kNull:
    case kFalse:
    case kTrue: return;
    case kInteger:
    case kFloat: take<uint64_t>(); return;
    case kBytes: at_ += count(1); return;
    case kText: text_body(); return;
    case kList:
    case kMap: break;
    default: unexpected(found, "a value", "this");
  }
  if (depth >= kDepthLimit) refuse_here("values are nested more than 32 deep");
  const uint32_t size = count(found == kMap ? 2 : 1);
  for (uint32_t i = 0; i < size; i++) {
    if (found == kMap) text("the key of an entry");
    skip_at(depth + 1);
  }
}

void ValueReader::finish() const {
  if (left() > 0) refuse_here(std::to_string(left()) + " bytes follow the section's value");
}

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* end = at + text.size();
  while (at < end) {
    const uint8_t lead = *at++;
    if (lead < 0x80) continue;
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || end - at < more) return false;
    uint32_t code = lead & (0x3F >> more);
    for (int i = 0; i < more; i++, at++) {
      if ((*at & 0xC0) != 0x80) return false;
      code = code << 6 | (*at & 0x3F);
    }
    if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000) || code > 0x10FFFF ||
        (code >= 0xD800 && code < 0xE000)) {
      return false;
    }
  }
  return true;
}

}  // namespace zse
