// Owns what a chat template cannot take but for a quirk of its own (no system role, strict turns, ids of nine characters, one call at a time), and
// the same conversation in a shape that it takes. A template's quirks are found by giving it small conversations. Under a WorkBound; any thread.
#pragma once

#include <cstddef>
#include <vector>

#include "chat.h"

namespace zse {

/** What a template renders without refusing it and without losing a word of it. */
struct TemplateTraits {
  bool system = true;                        // a system message at the beginning
  bool systems = true;                       // several at the beginning
  bool late_system = true;                   // one between the turns
  bool system_only = true;                   // nothing but a system message
  bool repeated_role = true;                 // two messages of the user in a row
  bool assistant_first = true;               // a conversation that the assistant begins
  bool user_after_tool = true;               // the user speaks when a tool has answered
  bool tool_calls = true;                    // calls, with their names and arguments
  bool tool_results = true;                  // and the answers to them
  bool parallel_calls = true;                // several calls in one message
  bool any_id = true;                        // ids of calls that are not nine letters or digits
  bool missing_id = true;                    // calls without ids
  bool parts[4] = {true, true, true, true};  // content in several parts: system, user, assistant, tool
};

/** Renders some twenty small conversations. Throws WorkStopped. */
TemplateTraits find_traits(const common_chat_templates* templates);

/** Messages for a template, and for each the index of the one among those given that it is of. */
struct BridgedMessages {
  std::vector<common_chat_msg> messages;
  std::vector<size_t> origins;
};

/** What a template takes as it is comes back as it is. Linear in the messages. Throws WorkStopped. */
BridgedMessages bridge_messages(std::vector<common_chat_msg> messages, const TemplateTraits& traits);

}  // namespace zse
