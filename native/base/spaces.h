// Owns what counts as white space around texts of JSON and of templates' tags. Pure; any thread.
#pragma once

#include <string_view>

namespace zse {

inline constexpr std::string_view kSpaces = " \n\r\t";

inline std::string_view without_end_space(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kSpaces) + 1);
}

inline std::string_view trimmed(std::string_view text) {
  const std::string_view kept = without_end_space(text);
  return kept.empty() ? kept : kept.substr(kept.find_first_not_of(kSpaces));
}

}  // namespace zse
