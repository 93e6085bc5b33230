#include "chat_json.h"

#include <string_view>

#include "base/error.h"
#include "base/json_shape.h"
#include "base/work_bound.h"
#include "tokenize/nfc.h"

namespace zse {

namespace {

size_t text_bytes(const common_json& content) {
  if (content.is_string()) return content.get<std::string>().size();
  size_t bytes = 0;
  if (content.is_array()) {
    for (const auto& part : content) {
      if (part.is_object() && part.contains("text") && part.at("text").is_string()) bytes += text_bytes(part.at("text"));
    }
  }
  return bytes;
}

}  // namespace

void check_shape(const std::string& json, const std::string& where) {
  const JsonShape shape = json_shape(json);
  if (shape.depth > kMaxJsonDepth) {
    throw EngineError("BAD_OPTION", where + " nests deeper than " + std::to_string(kMaxJsonDepth) + " levels");
  }
  if (shape.key_pairs > kMaxJsonKeyPairs) throw EngineError("BAD_OPTION", where + " has too many keys in its objects");
}

size_t check_messages(const common_json& messages) {
  size_t bytes = 0, index = 0;
  for (const auto& message : messages) {
    work_step();
    const std::string where = "messages[" + std::to_string(index++) + "]";
    if (!message.is_object()) continue;
    if (message.contains("content")) bytes += text_bytes(message.at("content"));
    if (!message.contains("tool_calls") || !message.at("tool_calls").is_array()) continue;
    size_t call_index = 0;
    for (const auto& call : message.at("tool_calls")) {
      const std::string place = where + ".tool_calls[" + std::to_string(call_index++) + "].function.arguments";
      if (!call.is_object() || !call.contains("function") || !call.at("function").is_object()) continue;
      const auto& function = call.at("function");
      if (function.contains("arguments") && function.at("arguments").is_string()) {
        check_shape(function.at("arguments").get<std::string>(), place);
      }
    }
  }
  return bytes;
}

void normalize_strings(common_json& value) {
  work_step();
  if (value.is_string()) {
    value = normalize_nfc(value.get<std::string>());
  } else if (value.is_array() || value.is_object()) {
    for (auto& item : value) normalize_strings(item);
  }
}

std::string reason_of(const std::string& message) {
  constexpr std::string_view kError = "\nError: ", kRaised = "Jinja Exception: ";
  constexpr size_t kLongest = 500;
  const size_t error = message.rfind(kError);
  std::string reason = error == std::string::npos ? message : message.substr(error + kError.size());
  if (reason.compare(0, kRaised.size(), kRaised) == 0) reason.erase(0, kRaised.size());
  std::string line;
  for (const char c : reason) {
    const bool space = static_cast<unsigned char>(c) <= ' ';
    if (!space) line += c;
    if (space && !line.empty() && line.back() != ' ') line += ' ';
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  if (line.size() <= kLongest) return line;
  size_t end = kLongest;  // not inside of a code point
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) end--;
  return line.substr(0, end) + "...";
}

}  // namespace zse
