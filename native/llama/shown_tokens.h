// Owns which control tokens are text for the reader: tags around thoughts and tool calls, which some vocabularies mark as control tokens and others
// as words. Hidden, they would let a thought and the answer run together. Pure; any thread.
#pragma once

#include <string_view>

namespace zse {

/** By a token's name, whole. */
bool is_shown_tag(std::string_view name);

}  // namespace zse
