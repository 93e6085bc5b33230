#include "chat_template.h"

#include <chrono>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/work_bound.h"
#include "chat.h"
#include "chat_json.h"
#include "core/info.h"
#include "model.h"
#include "prompt_limits.h"
#include "schema_grammar.h"

namespace zse {

namespace {

constexpr std::chrono::seconds kTemplateAnalysis{
    5};  // llama.cpp renders some twenty small conversations to learn what a template can do
constexpr std::string_view kNoParser = "Unable to generate parser for this template";
constexpr uint64_t kQuirkSteps = uint64_t{1} << 25;  // the templates that llama.cpp knows take less than a tenth

void read_template_arguments(const std::string& text, common_chat_templates_inputs& inputs) {
  if (text.empty()) return;
  check_shape(text, "the template's arguments");
  try {
    const common_json arguments = common_json::parse(text);
    for (const auto& [name, value] : arguments.items()) inputs.chat_template_kwargs[name] = value.dump();
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", "the template's arguments cannot be read: " + reason_of(e.what()));
  }
}

}  // namespace

bool may_call(const common_chat_templates_inputs& inputs) {
  return !inputs.tools.empty() && inputs.tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE;
}

void ChatTemplate::Deleter::operator()(common_chat_templates* templates) const { common_chat_templates_free(templates); }

ChatTemplate::ChatTemplate(std::shared_ptr<const Model> model, const std::atomic<bool>& cancelled)
    : model_(std::move(model)) {
  WorkLimits limits;
  limits.time = kTemplateAnalysis;
  limits.steps = kPromptSteps;
  limits.memory = kPromptMemory;
  FlagBound bound(limits, cancelled);
  try {
    const WorkBound::Scope scope(bound);
    templates_.reset(common_chat_templates_init(model_->get(), model_->info().template_text).release());
    learn_replies();
  } catch (const WorkStopped&) {  // said by the bound
  } catch (const std::exception& e) {
    error_ = e.what();
  }
  if (bound.stopped() == WorkStop::kCancelled) throw WorkStopped{WorkStop::kCancelled};
  if (bound.stopped() == WorkStop::kNone) {
    find_quirks(cancelled);
    return;
  }
  templates_.reset();
  error_ = "it " + too_much(bound.stopped(), limits);
}

/** How a template writes replies is found out by rendering it, once: now rather than for the first request. */
void ChatTemplate::learn_replies() const {
  common_chat_templates_inputs inputs;
  inputs.messages.emplace_back();
  inputs.messages.back().role = "user";
  inputs.messages.back().content = "Hi";
  inputs.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  try {
    common_chat_templates_apply(templates_.get(), inputs);
  } catch (const std::exception&) {  // it says so when something is asked of it
  }
}

/** A template that is too slow even for a few words is taken for one without quirks. Steps bound it, so that a busy machine changes nothing. */
void ChatTemplate::find_quirks(const std::atomic<bool>& cancelled) {
  if (!templates_) return;
  WorkLimits limits;
  limits.steps = kQuirkSteps;
  limits.memory = kPromptMemory;
  FlagBound bound(limits, cancelled);
  try {
    const WorkBound::Scope scope(bound);
    traits_ = find_traits(templates_.get());
  } catch (const WorkStopped&) {  // said by the bound
  }
  if (bound.stopped() == WorkStop::kCancelled) throw WorkStopped{WorkStop::kCancelled};
}

ChatTemplate::~ChatTemplate() = default;

common_chat_templates_inputs ChatTemplate::inputs_of(const ChatInput& chat, std::vector<size_t>& origins) const {
  if (!templates_) {
    throw EngineError("UNSUPPORTED", "the model file's chat template cannot be used (" + error_ +
                                         "); its text can still be continued with completionStream");
  }
  // What cannot fit is refused before anything is parsed or rendered.
  const size_t room = static_cast<size_t>(model_->info().context_size) * model_->longest_piece();
  check_shape(chat.messages_json, "messages");
  common_chat_templates_inputs inputs;
  try {
    common_json messages = common_json::parse(chat.messages_json);
    const size_t bytes = check_messages(messages) + chat.tools_json.size() / 8;  // of a tool, spaces and escapes may go
    if (bytes >= room) throw_overflow(model_->info(), "at least " + std::to_string(bytes / model_->longest_piece()));
    if (model_->normalizes()) normalize_strings(messages);
    BridgedMessages bridged = bridge_messages(common_chat_msgs_parse_oaicompat(messages), traits_);
    inputs.messages = std::move(bridged.messages);
    origins = std::move(bridged.origins);
    for (size_t& origin : origins) {  // where one message holds several results
      const common_json& message = messages.at(origin);
      if (message.contains("index") && message.at("index").is_number_integer()) origin = message.at("index").get<size_t>();
    }
  } catch (const EngineError&) {
    throw;
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", "the messages cannot be read: " + std::string(e.what()));
  }
  inputs.use_jinja = true;
  inputs.add_generation_prompt = !chat.continue_final_message;
  if (chat.continue_final_message) {
    if (inputs.messages.empty() || inputs.messages.back().role != "assistant") {
      throw EngineError("BAD_OPTION", "continueFinalMessage goes on with the last message, which must be the assistant's");
    }
    inputs.continue_final_message = COMMON_CHAT_CONTINUATION_AUTO;
  }
  inputs.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  inputs.enable_thinking = chat.thinking.value_or(true);
  read_template_arguments(chat.template_arguments_json, inputs);
  if (!chat.tools_json.empty()) read_tools(chat, inputs);
  // Beside tools llama.cpp would take the schema alone: ReplyShaper puts the two together.
  if (!chat.shape.json_schema.empty() && !may_call(inputs)) inputs.json_schema = read_schema(chat.shape.json_schema).dump();
  return inputs;
}

void ChatTemplate::read_tools(const ChatInput& chat, common_chat_templates_inputs& inputs) const {
  check_shape(chat.tools_json, "tools");
  const auto caps = common_chat_templates_get_caps(templates_.get());
  const auto can = [&](const char* name) {
    const auto found = caps.find(name);
    return found != caps.end() && found->second;
  };
  if (!can("supports_tools") && !can("supports_tool_calls")) {
    throw EngineError("UNSUPPORTED", "the model's chat template has no place for tools; take a model made for them");
  }
  try {
    common_json tools = common_json::parse(chat.tools_json);
    if (model_->normalizes()) normalize_strings(tools);
    inputs.tools = common_chat_tools_parse_oaicompat(tools);
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", "the tools cannot be read: " + reason_of(e.what()));
  }
  inputs.parallel_tool_calls = chat.parallel_calls;
  inputs.tool_choice = chat.tool_choice == ToolChoice::kNone       ? COMMON_CHAT_TOOL_CHOICE_NONE
                       : chat.tool_choice == ToolChoice::kRequired ? COMMON_CHAT_TOOL_CHOICE_REQUIRED
                                                                   : COMMON_CHAT_TOOL_CHOICE_AUTO;
}

common_chat_params ChatTemplate::apply(const common_chat_templates_inputs& inputs, const std::vector<size_t>& origins,
                                       bool plain) const {
  try {
    return common_chat_templates_apply(templates_.get(), inputs);
  } catch (const std::exception& e) {
    const std::string reason = reason_of(e.what());
    check_schemas(inputs);
    if (reason.compare(0, kNoParser.size(), kNoParser) == 0) {
      if (!plain) {
        throw EngineError(
            "UNSUPPORTED",
            "how the model's chat template writes calls of tools, or ends thoughts, could not be found out; take "
            "another file of the model");
      }
      common_chat_templates_inputs pure = inputs;
      pure.force_pure_content = true;
      return apply(pure, origins, false);
    }
    const size_t index = refused_message(inputs, reason);
    throw EngineError("BAD_OPTION", reason + " (the model's chat template refused messages[" +
                                        std::to_string(origins[index]) + "], of role \"" + inputs.messages[index].role +
                                        "\")");
  }
}

/**
 * Which message a template refuses for that reason: without it and what follows, it does not. Halving takes few renderings; templates go
 * through messages from the first to the last.
 */
size_t ChatTemplate::refused_message(const common_chat_templates_inputs& inputs, const std::string& reason) const {
  size_t good = 0, refused = inputs.messages.size();
  common_chat_templates_inputs some = inputs;
  while (refused - good > 1) {
    const size_t middle = good + (refused - good) / 2;
    some.messages.assign(inputs.messages.begin(), inputs.messages.begin() + static_cast<std::ptrdiff_t>(middle));
    bool same = false;
    try {
      common_chat_templates_apply(templates_.get(), some);
    } catch (const std::exception& e) {
      same = reason_of(e.what()) == reason;
    }
    (same ? refused : good) = middle;
  }
  return refused - 1;
}

}  // namespace zse
