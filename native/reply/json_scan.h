// Owns reading JSON text as it comes, just far enough to know where its value ends. Pure; any thread. Knows nobody.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace zse {

/** Follows one object or array. What is no JSON it follows somehow: whoever cares has it parsed. */
class JsonScan {
 public:
  /** Takes as much of the text as belongs to the value; says how much. */
  size_t take(std::string_view text) {
    for (size_t i = 0; i < text.size(); i++) {
      if (closed_) return i;
      next(text[i]);
      taken_++;
    }
    return text.size();
  }

  bool closed() const { return closed_; }
  bool in_string() const { return in_string_; }
  /** Of an object: where its latest value begins. */
  size_t value_from() const { return value_from_; }
  /** Bytes since the string that it is in began, without its quote. */
  size_t string_bytes() const { return taken_ - string_from_; }

 private:
  void next(char c) {
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
      return;
    }
    if (c == '"') {
      in_string_ = true;
      string_from_ = taken_ + 1;
    } else if (c == '{' || c == '[') {
      depth_++;
    } else if (c == ':' && depth_ == 1) {
      value_from_ = taken_ + 1;
    } else if ((c == '}' || c == ']') && --depth_ <= 0) {
      closed_ = true;
    }
  }

  int depth_ = 0;
  bool in_string_ = false, escaped_ = false, closed_ = false;
  size_t taken_ = 0, string_from_ = 0, value_from_ = 0;
};

/** A text as it stands in a JSON string, without the quotes. */
inline std::string escape_json(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (byte >= 0x20) {
          out += c;
        } else {
          out += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
        }
    }
  }
  return out;
}

}  // namespace zse
