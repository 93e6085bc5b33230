#include "shown_tokens.h"

#include <unordered_set>

namespace zse {

// The tags that the reply parsers of llama.cpp (common/parsers) and well-known templates separate a reply by. What marks turns is not among them.
bool is_shown_tag(std::string_view name) {
  static const std::unordered_set<std::string_view> kTags = {
      // thoughts and answers
      "<think>", "</think>", "<|think|>", "<|/think|>", "<thinking>", "</thinking>", "<thought>", "</thought>",
      "<reasoning>", "</reasoning>", "<seed:think>", "</seed:think>", "[THINK]", "[/THINK]", "<|START_THINKING|>",
      "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|inner_prefix|>", "<|inner_suffix|>",
      "<|begin_of_thought|>", "<|end_of_thought|>", "<answer>", "</answer>", "<response>", "</response>",
      // channels of gpt-oss and of Gemma 4
      "<|channel|>", "<|message|>", "<|constrain|>", "<|channel>", "<channel|>",
      // tool calls
      "<tool_call>", "</tool_call>", "<tool_calls>", "</tool_calls>", "<|tool_call|>", "<|tool_call>", "<tool_call|>",
      "<tool_response>", "</tool_response>", "<function_call>", "</function_call>", "<|tool_call_start|>",
      "<|tool_call_end|>", "<|tools_prefix|>", "<|tools_suffix|>", "<|START_ACTION|>", "<|END_ACTION|>", "<|python_tag|>",
      "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>",
      "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<\uFF5Ctool\u2581calls\u2581begin\uFF5C>",
      "<\uFF5Ctool\u2581calls\u2581end\uFF5C>", "<\uFF5Ctool\u2581call\u2581begin\uFF5C>",
      "<\uFF5Ctool\u2581call\u2581end\uFF5C>", "<\uFF5Ctool\u2581sep\uFF5C>"};
  return kTags.count(name) > 0;
}

}  // namespace zse
