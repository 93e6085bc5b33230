#include "text_assembler.h"

#include <algorithm>
#include <utility>

namespace zse {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct CodePoint {
  size_t length;  // bytes looked at: of the code point, or of the maximal invalid part (at least 1)
  enum { kValid, kInvalid, kTruncated } state;
};

// Table 3-7 of the Unicode Standard: which second bytes a lead byte allows; the rest are 80..BF.
CodePoint scan_code_point(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (lead < 0x80) return {1, CodePoint::kValid};
  size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, CodePoint::kInvalid};
  }
  for (size_t i = 1; i < length; i++) {
    if (i == bytes.size()) return {i, CodePoint::kTruncated};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte < low || byte > high) return {i, CodePoint::kInvalid};
    low = 0x80;
    high = 0xBF;
  }
  return {length, CodePoint::kValid};
}

}  // namespace

size_t complete_utf8_prefix(std::string_view bytes) {
  // Only the last three bytes can belong to an unfinished code point: look for its lead byte from the end.
  for (size_t back = 1; back <= std::min<size_t>(3, bytes.size()); back++) {
    const size_t start = bytes.size() - back;
    if ((static_cast<unsigned char>(bytes[start]) & 0xC0) == 0x80) continue;
    return scan_code_point(bytes.substr(start)).state == CodePoint::kTruncated ? start : bytes.size();
  }
  return bytes.size();
}

std::string repair_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const CodePoint point = scan_code_point(bytes);
    out += point.state == CodePoint::kValid ? bytes.substr(0, point.length) : kReplacement;
    bytes.remove_prefix(point.length);
  }
  return out;
}

TextAssembler::TextAssembler(std::vector<std::string> stop_strings, int min_tokens) : unstoppable_(min_tokens) {
  for (std::string& text : stop_strings) {
    if (text.empty()) continue;
    Matcher matcher;
    matcher.borders = Borders(text);
    matcher.text = std::move(text);
    matchers_.push_back(std::move(matcher));
  }
}

bool TextAssembler::Matcher::advance(char byte) {
  matched = borders.next(text, matched, byte);
  return matched == text.size();
}

TextAssembler::Output TextAssembler::add(std::string_view piece, int tokens) {
  pending_tokens_ += tokens;
  const bool unstoppable = unstoppable_ > 0;
  unstoppable_ = std::max(0, unstoppable_ - tokens);
  size_t held_for_stop = 0;
  if (matchers_.empty() || unstoppable) {
    pending_.append(piece);
  } else {
    for (const char byte : piece) {
      pending_.push_back(byte);
      const Matcher* found = nullptr;
      for (Matcher& matcher : matchers_) {
        // Two that end at the same byte: the longer one began first.
        if (matcher.advance(byte) && (!found || matcher.text.size() > found->text.size())) found = &matcher;
      }
      if (found) {
        Output output = emit(pending_.size() - found->text.size());
        output.stop = found->text;
        pending_.clear();
        return output;
      }
    }
    for (const Matcher& matcher : matchers_) held_for_stop = std::max(held_for_stop, matcher.matched);
  }
  return emit(std::min(complete_utf8_prefix(pending_), pending_.size() - held_for_stop));
}

bool TextAssembler::is_stop(std::string_view name) const {
  return unstoppable_ == 0 &&
         std::any_of(matchers_.begin(), matchers_.end(), [&](const Matcher& matcher) { return matcher.text == name; });
}

TextAssembler::Output TextAssembler::flush() { return emit(pending_.size()); }

TextAssembler::Output TextAssembler::emit(size_t bytes) {
  Output output;
  if (bytes == 0) return output;
  output.text = repair_utf8(std::string_view(pending_).substr(0, bytes));
  // After a flush no token may have come since the last text (its bytes were held back); text still takes one credit.
  output.tokens = std::max(1, std::exchange(pending_tokens_, 0));
  pending_.erase(0, bytes);
  return output;
}

}  // namespace zse
