#include "reply_shape.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/spaces.h"
#include "chat.h"
#include "either_grammar.h"
#include "model.h"
#include "schema_grammar.h"

namespace zse {

namespace {

/** What is known of the reply's thoughts, whatever it is held to. */
ConstraintSpec thoughts_of(const ChatInput& chat, const common_chat_params& params) {
  ConstraintSpec spec;
  spec.begun = params.generation_prompt;
  spec.may_think = chat.thinking.value_or(true);
  spec.control_tokens = params.preserved_tokens;
  if (params.thinking_start_tag.empty() || params.thinking_end_tags.empty()) return spec;
  spec.thought_start = params.thinking_start_tag;
  spec.thought_ends = params.thinking_end_tags;
  // A thought that a template or a model begins where none is wanted is closed at once.
  spec.thought_tokens = spec.may_think ? chat.reasoning_budget : std::optional<int>(0);
  return spec;
}

/** Rules of calls alone, in the grammars of llama.cpp's handlers and of its analysis. */
constexpr const char* kCallRules[] = {"tool-calls", "tool-call",       "tool-call-root",
                                      "tools",      "ling3-tool-call", "kimi-k3-tool-call"};

/** Whether a text stands in the reply as it is, or right behind a thought: some templates wrap it in tags. */
bool takes_bare_text(const common_chat_params& params, const ReplyParser& parser) {
  const std::string text = "a";
  std::vector<std::string> before{""};
  for (const std::string& end : params.thinking_end_tags) {
    if (params.thinking_start_tag.empty()) break;  // where a thought is cannot be known while it is written
    before.push_back(end);
    before.push_back(params.thinking_start_tag + "a" + end);
  }
  return std::any_of(before.begin(), before.end(), [&](const std::string& thought) {
    const ParsedReply reply = parser.parse(thought + text, false);
    return reply.matches && reply.calls.empty() && reply.content == text;
  });
}

}  // namespace

ReplyShape ReplyShaper::of_chat(const ChatInput& chat, const common_chat_templates_inputs& inputs,
                                const std::vector<size_t>& origins, const common_chat_params& params) const {
  ReplyShape shape;
  const bool thinks = !params.thinking_start_tag.empty() && !params.thinking_end_tags.empty();
  if (chat.thinking.value_or(false) && !params.supports_thinking) {
    throw EngineError("UNSUPPORTED",
                      "the model's chat template knows no thoughts; leave `reasoning` out, or take a model that thinks");
  }
  if (chat.reasoning_budget && !thinks && params.supports_thinking) {
    throw EngineError("UNSUPPORTED", "how the model ends a thought is not known, so it can have no budget");
  }
  const bool calls = !chat.tools_json.empty() && chat.tool_choice != ToolChoice::kNone;
  const bool held = !chat.shape.json_schema.empty() && !(calls && chat.tool_choice == ToolChoice::kRequired);
  shape.syntax = syntaxes_.of(params, chat.continue_final_message,
                              !held   ? TextKind::kAny
                              : calls ? TextKind::kJsonBesideCalls
                                      : TextKind::kJson);
  shape.stops = params.additional_stops;

  ConstraintSpec spec = thoughts_of(chat, params);
  if (!chat.shape.grammar.empty()) {
    spec.grammar = chat.shape.grammar;
    spec.source = "responseFormat";
    spec.rests_in_thoughts = thinks;
  } else {
    if (params.grammar.empty() && calls && chat.tool_choice == ToolChoice::kRequired) {
      throw EngineError("UNSUPPORTED",
                        "calls of tools cannot be required with the model's chat template; give toolChoice \"auto\"");
    }
    spec.source = chat.shape.json_schema.empty() ? "tools" : "responseFormat";
    const bool beside = !chat.shape.json_schema.empty() && calls;
    if (!beside || !hold_text_beside_calls(chat, inputs, origins, params, spec))
      hold_reply(chat, inputs, params, held, spec);
  }
  if (spec.grammar.empty() && !thinks) return shape;
  shape.constraint = std::make_unique<Constraint>(model_, std::move(spec), grammars_);
  return shape;
}

/** By the grammar that the template's handler or analysis gives, or by the schema, where some handlers know nothing of schemas. */
void ReplyShaper::hold_reply(const ChatInput& chat, const common_chat_templates_inputs& inputs,
                             const common_chat_params& params, bool held, ConstraintSpec& spec) const {
  spec.grammar = params.grammar;
  spec.grammar_has_begun = true;
  if (held && chat.continue_final_message) spec.continued = inputs.messages.back().render_content();
  if (spec.grammar.empty() && held && !may_call(inputs)) {
    const auto plain = syntaxes_.of(params, chat.continue_final_message, TextKind::kAny);
    if (plain && !takes_bare_text(params, *plain->parser)) {
      throw EngineError("UNSUPPORTED",
                        "the model's chat template writes texts in a way that responseFormat cannot hold; make the schema a "
                        "tool's parameters");
    }
    spec.grammar = grammar_of(read_schema(chat.shape.json_schema), "responseFormat");
    spec.grammar_has_begun = false;
    spec.rests_in_thoughts = !spec.thought_start.empty();
  }
  if (!params.grammar_lazy) return;  // some handlers give triggers to grammars that do not wait for them
  for (const common_grammar_trigger& trigger : params.grammar_triggers) {
    const bool word = trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD || trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN;
    if (word) {  // from a tag on nothing but a call may come, the line break that belongs behind the tag included
      const std::string_view tag = without_end_space(trigger.value);
      spec.trigger_words.emplace_back(tag.empty() ? trigger.value : tag);
    } else {
      spec.trigger_patterns.push_back(trigger.value);
    }
  }
}

/**
 * The reply is either a text that the schema allows or calls of tools, whose grammar begins where a call does. Where a call is required, it is calls
 * from the start: text before them would be held to nothing. False: what comes before a required call is what the template lets come.
 */
bool ReplyShaper::hold_text_beside_calls(const ChatInput& chat, const common_chat_templates_inputs& inputs,
                                         const std::vector<size_t>& origins, const common_chat_params& params,
                                         ConstraintSpec& spec) const {
  // Where a call is only allowed, some grammars of calls allow none, and some templates have no grammar.
  common_chat_templates_inputs required = inputs;
  required.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  const bool must_call = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  RootedGrammar calls{must_call ? params.grammar : template_.apply(required, origins, false).grammar, ""};
  for (const char* rule : kCallRules) {
    if (calls.root.empty() && has_rule(calls.grammar, rule)) calls.root = rule;
  }
  const auto plain = syntaxes_.of(params, chat.continue_final_message, TextKind::kAny);
  if (calls.root.empty() || !plain || !takes_bare_text(params, *plain->parser)) {
    if (must_call) return false;
    throw EngineError(
        "UNSUPPORTED",
        "the model's chat template writes texts and calls in a way that responseFormat cannot hold beside tools; "
        "give responseFormat with toolChoice \"none\", or make the schema a tool's parameters");
  }
  spec.grammar = must_call
                     ? only_grammar(calls)
                     : either_grammar(calls, {grammar_of(read_schema(chat.shape.json_schema), "responseFormat"), "root"});
  if (chat.continue_final_message) spec.continued = inputs.messages.back().render_content();
  spec.rests_in_thoughts = !spec.thought_start.empty();
  spec.holds_calls = true;
  return true;
}

ReplyShape ReplyShaper::of_text(const TextShape& text) const {
  ReplyShape shape;
  ConstraintSpec spec;
  spec.grammar = text.grammar;
  spec.source = "responseFormat";
  if (!text.json_schema.empty()) spec.grammar = grammar_of(read_schema(text.json_schema), "responseFormat");
  if (!spec.grammar.empty()) shape.constraint = std::make_unique<Constraint>(model_, std::move(spec), grammars_);
  return shape;
}

}  // namespace zse
