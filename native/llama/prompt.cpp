#include "prompt.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <variant>

#include "base/json_shape.h"
#include "chat.h"
#include "constraint.h"
#include "core/info.h"
#include "either_grammar.h"
#include "ggml_abort.h"
#include "json-schema-to-grammar.h"
#include "json.h"
#include "model.h"
#include "reply_parser.h"
#include "sampler_parts.h"
#include "tokenize/input_ranges.h"
#include "tokenize/nfc.h"

namespace zse {

namespace {

using std::chrono::seconds;

constexpr seconds kTemplateAnalysis{5};  // llama.cpp renders some twenty small conversations to learn what a template can do
constexpr std::string_view kNoParser = "Unable to generate parser for this template";
constexpr seconds kPromptTime{20};
constexpr uint64_t kPromptSteps = uint64_t{1} << 31;
constexpr uint64_t kQuirkSteps = uint64_t{1} << 25;  // the templates that llama.cpp knows take less than a tenth
// Giving back what a template holds takes some 50 ms for 256 MB of small values, and a cancel waits for that.
constexpr uint64_t kPromptMemory = uint64_t{64} << 20;
constexpr size_t kMostToldLogprobs = size_t{1} << 18;  // of a prompt: all of them wait for their reader
constexpr size_t kMostBytes = size_t{256} << 20;       // that tokens stand for
constexpr uint64_t kMemoryOfToken = 64;                // of the context: a text several times over

/** A bound that is cancelled with the engine. */
class FlagBound : public WorkBound {
 public:
  FlagBound(WorkLimits limits, const std::atomic<bool>& cancelled) : WorkBound(limits), cancelled_(cancelled) {}

 private:
  void look_around() override {
    if (cancelled_) stop(WorkStop::kCancelled);
  }
  const std::atomic<bool>& cancelled_;
};

/** "runs for more than 20 s": what work did that was stopped. */
std::string too_much(WorkStop why, const WorkLimits& limits) {
  using std::chrono::duration_cast;
  switch (why) {
    case WorkStop::kTime: return "runs for more than " + std::to_string(duration_cast<seconds>(limits.time).count()) + " s";
    case WorkStop::kMemory:
      return "takes more than " + std::to_string(limits.memory >> 20) + " MB of memory, or than other prompts leave it";
    case WorkStop::kStack: return "recurses too deeply";
    default: return "takes too many steps";
  }
}

void check_shape(const std::string& json, const std::string& where) {
  const JsonShape shape = json_shape(json);
  if (shape.depth > kMaxJsonDepth) {
    throw EngineError("BAD_OPTION", where + " nests deeper than " + std::to_string(kMaxJsonDepth) + " levels");
  }
  if (shape.key_pairs > kMaxJsonKeyPairs) throw EngineError("BAD_OPTION", where + " has too many keys in its objects");
}

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

/** Every string of a value, in place. Its depth has been checked. */
void normalize_strings(common_json& value) {
  work_step();
  if (value.is_string()) {
    value = normalize_nfc(value.get<std::string>());
  } else if (value.is_array() || value.is_object()) {
    for (auto& item : value) normalize_strings(item);
  }
}

/** What a template said, in one line: llama.cpp puts some lines of its source before that. */
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

/** Checks the JSON inside of the messages' JSON, and gives the bytes of their contents. */
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

/** From a tag on nothing but a call may come, the line break that belongs behind the tag included. */
std::string without_end_space(std::string tag) {
  const size_t end = tag.find_last_not_of(" \t\r\n");
  return end == std::string::npos ? tag : tag.substr(0, end + 1);
}

/** A JSON Schema, as its grammar is made of; the one without a rule is of any JSON. */
common_json read_schema(const std::string& text) {
  check_shape(text, "responseFormat.schema");
  try {
    common_json schema = common_json::parse(text);
    if (schema.is_object() && schema.empty()) {
      schema = common_json::parse(R"({"type":["object","array","string","number","boolean","null"]})");
    }
    return schema;
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", "responseFormat cannot be used: " + reason_of(e.what()));
  }
}

std::string grammar_of(const common_json& schema, const std::string& where) {
  try {
    return json_schema_to_grammar(schema);
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", where + " cannot be used: " + reason_of(e.what()));
  }
}

bool may_call(const common_chat_templates_inputs& inputs) {
  return !inputs.tools.empty() && inputs.tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE;
}

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

/** Throws where a schema is what is wrong: with what is asked for, each is converted by itself. */
void check_schemas(const common_chat_templates_inputs& inputs) {
  if (!inputs.json_schema.empty()) grammar_of(common_json::parse(inputs.json_schema), "responseFormat");
  for (size_t i = 0; i < inputs.tools.size(); i++) {
    const std::string& parameters = inputs.tools[i].parameters;
    if (parameters.empty()) continue;
    grammar_of(common_json::parse(parameters), "tools[" + std::to_string(i) + "].function.parameters");
  }
}

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

void PromptBuilder::TemplatesDeleter::operator()(common_chat_templates* templates) const {
  common_chat_templates_free(templates);
}

PromptBuilder::PromptBuilder(std::shared_ptr<const Model> model, const std::atomic<bool>& cancelled)
    : model_(std::move(model)),
      rights_(token_rights(model_->vocab(), model_->info().template_text)),
      finds_messages_(llama_model_is_recurrent(model_->get()) || llama_model_is_hybrid(model_->get()) ||
                      llama_model_n_swa(model_->get()) > 0) {
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
    template_error_ = e.what();
  }
  if (bound.stopped() == WorkStop::kCancelled) throw WorkStopped{WorkStop::kCancelled};
  if (bound.stopped() == WorkStop::kNone) {
    find_quirks(cancelled);
    return;
  }
  templates_.reset();
  template_error_ = "it " + too_much(bound.stopped(), limits);
}

/** How a template writes replies is found out by rendering it, once: now rather than for the first request. */
void PromptBuilder::learn_replies() const {
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
void PromptBuilder::find_quirks(const std::atomic<bool>& cancelled) {
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

PromptBuilder::~PromptBuilder() = default;

WorkLimits PromptBuilder::limits() const {
  const auto context = static_cast<uint64_t>(model_->info().context_size);
  WorkLimits limits;
  limits.time = kPromptTime;
  limits.steps = kPromptSteps;
  limits.memory = kPromptMemory + context * kMemoryOfToken;
  limits.tokens = std::max(4 * context, context + 8192);  // one that does not fit by a little is told by how much
  return limits;
}

EngineError PromptBuilder::stopped(WorkStop why, PromptStage stage, uint64_t tokens) const {
  if (why == WorkStop::kCancelled) return {"CLOSED", "the model was closed"};
  if (why == WorkStop::kTokens) {
    try {
      throw_overflow("at least " + std::to_string(tokens));
    } catch (const EngineError& e) {
      return e;
    }
  }
  const std::string most = too_much(why, limits());
  if (stage == PromptStage::kTokenizer) {
    return {"BAD_OPTION", "splitting the prompt into tokens " + most + "; shorten the prompt"};
  }
  if (stage == PromptStage::kGrammar) {
    return {"BAD_OPTION", "the grammar of the tools or of responseFormat " + most + "; give fewer or shorter alternatives"};
  }
  const ModelInfo& info = model_->info();
  const std::string name = info.template_source == "model" ? "the chat template of the model file"
                                                           : "the fallback chat template \"" + info.template_name + "\"";
  return {"BAD_OPTION",
          name + " " + most +
              " on these messages and was stopped; shorten the conversation, or, if it loops whatever it is given, "
              "take another file of the model"};
}

void PromptBuilder::throw_overflow(const std::string& tokens) const {
  throw EngineError("CONTEXT_OVERFLOW", "the prompt has " + tokens + " tokens, and the context of a stream holds " +
                                            std::to_string(model_->info().context_size) +
                                            " including at least one of the reply; shorten the prompt or open the model "
                                            "with a larger contextSize");
}

MarkedText PromptBuilder::text_of(const ChatInput& chat, ReplyShape& shape, PromptStage& stage) const {
  if (!templates_) {
    throw EngineError("UNSUPPORTED", "the model file's chat template cannot be used (" + template_error_ +
                                         "); its text can still be continued with completionStream");
  }
  std::vector<size_t> origins;  // of what the template is given, among what was sent
  const common_chat_templates_inputs inputs = template_inputs(chat, origins);
  common_chat_params params = apply(inputs, origins, chat.tools_json.empty() && chat.shape.json_schema.empty());
  stage = PromptStage::kGrammar;
  shape_reply(chat, inputs, origins, params, shape);
  if (finds_messages_) shape.delimiters = std::make_shared<common_chat_msg_delimiters>(std::move(params.message_delimiters));
  return marked_text(std::move(params.prompt));
}

void PromptBuilder::shape_text(const TextShape& text, ReplyShape& shape, PromptStage& stage) const {
  stage = PromptStage::kGrammar;
  ConstraintSpec spec;
  spec.grammar = text.grammar;
  spec.source = "responseFormat";
  if (!text.json_schema.empty()) spec.grammar = grammar_of(read_schema(text.json_schema), "responseFormat");
  if (!spec.grammar.empty()) shape.constraint = std::make_unique<Constraint>(model_, std::move(spec), grammars_);
}

std::vector<Token> PromptBuilder::tokens_of(const ChatInput& chat, ReplyShape& shape, PromptStage& stage) const {
  const MarkedText text = text_of(chat, shape, stage);
  std::vector<Token> tokens = tokenize(text, stage);
  if (shape.delimiters) shape.message_starts = starts_of(*shape.delimiters, tokens);
  return tokens;
}

/** How many tokens stand before each message. A template's delimiters are tokens that no message can hold, where they are control tokens. */
std::vector<int> PromptBuilder::starts_of(const common_chat_msg_delimiters& delimiters,
                                          const std::vector<Token>& tokens) const {
  constexpr size_t kLongestDelimiter = 32;  // tokens: a longer one is a template's trick
  common_chat_msg_delimiters known = delimiters;
  known.tokenize(model_->vocab());
  auto& all = known.delimiters;
  const auto useless = [](const auto& it) { return it.tokens.empty() || it.tokens.size() > kLongestDelimiter; };
  all.erase(std::remove_if(all.begin(), all.end(), useless), all.end());
  std::vector<int> starts;
  if (all.empty()) return starts;
  for (const common_chat_msg_span& span : known.split(tokens).spans) starts.push_back(static_cast<int>(span.pos));
  return starts;
}

std::vector<Token> PromptBuilder::tokens_of(const TextInput& text, ReplyShape& shape, PromptStage& stage) const {
  shape_text(text.shape, shape, stage);
  return tokenize({normalized(text.text), {}}, stage);
}

std::vector<Token> PromptBuilder::tokens_of(const TokensInput& tokens, ReplyShape& shape, PromptStage& stage) const {
  shape_text(tokens.shape, shape, stage);
  return tokens.tokens;
}

/** The order that models learn: what comes before, what comes after, and then what stands between. No text is read as a control token. */
std::vector<Token> PromptBuilder::tokens_of(const InfillInput& infill, ReplyShape& shape, PromptStage& stage) const {
  shape_text(infill.shape, shape, stage);
  stage = PromptStage::kTokenizer;
  const llama_vocab* vocab = model_->vocab();
  check_bytes(infill.prefix.size() + infill.suffix.size());
  const std::vector<Token> prefix = model_->tokenize(normalized(infill.prefix), false, false);
  const std::vector<Token> suffix = model_->tokenize(normalized(infill.suffix), false, false);
  std::vector<Token> tokens;
  const Token bos = llama_vocab_bos(vocab);
  if (llama_vocab_get_add_bos(vocab) && bos != LLAMA_TOKEN_NULL) tokens.push_back(bos);
  tokens.push_back(llama_vocab_fim_pre(vocab));
  tokens.insert(tokens.end(), prefix.begin(), prefix.end());
  tokens.push_back(llama_vocab_fim_suf(vocab));
  tokens.insert(tokens.end(), suffix.begin(), suffix.end());
  tokens.push_back(llama_vocab_fim_mid(vocab));
  return tokens;
}

common_chat_templates_inputs PromptBuilder::template_inputs(const ChatInput& chat, std::vector<size_t>& origins) const {
  // What cannot fit is refused before anything is parsed or rendered.
  const size_t room = static_cast<size_t>(model_->info().context_size) * model_->longest_piece();
  check_shape(chat.messages_json, "messages");
  common_chat_templates_inputs inputs;
  try {
    common_json messages = common_json::parse(chat.messages_json);
    const size_t bytes = check_messages(messages) + chat.tools_json.size() / 8;  // of a tool, spaces and escapes may go
    if (bytes >= room) throw_overflow("at least " + std::to_string(bytes / model_->longest_piece()));
    if (normalizes()) normalize_strings(messages);
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
  // Beside tools llama.cpp would take the schema alone: shape_reply() puts the two together.
  if (!chat.shape.json_schema.empty() && !may_call(inputs)) inputs.json_schema = read_schema(chat.shape.json_schema).dump();
  return inputs;
}

void PromptBuilder::read_tools(const ChatInput& chat, common_chat_templates_inputs& inputs) const {
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
    if (normalizes()) normalize_strings(tools);
    inputs.tools = common_chat_tools_parse_oaicompat(tools);
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", "the tools cannot be read: " + reason_of(e.what()));
  }
  inputs.parallel_tool_calls = chat.parallel_calls;
  inputs.tool_choice = chat.tool_choice == ToolChoice::kNone       ? COMMON_CHAT_TOOL_CHOICE_NONE
                       : chat.tool_choice == ToolChoice::kRequired ? COMMON_CHAT_TOOL_CHOICE_REQUIRED
                                                                   : COMMON_CHAT_TOOL_CHOICE_AUTO;
}

/** `plain`: text is asked for and nothing else, so a template whose replies cannot be told apart does, too. */
common_chat_params PromptBuilder::apply(const common_chat_templates_inputs& inputs, const std::vector<size_t>& origins,
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

void PromptBuilder::shape_reply(const ChatInput& chat, const common_chat_templates_inputs& inputs,
                                const std::vector<size_t>& origins, const common_chat_params& params,
                                ReplyShape& shape) const {
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
  if (spec.grammar.empty() && !thinks) return;
  shape.constraint = std::make_unique<Constraint>(model_, std::move(spec), grammars_);
}

/** By the grammar that the template's handler or analysis gives, or by the schema, where some handlers know nothing of schemas. */
void PromptBuilder::hold_reply(const ChatInput& chat, const common_chat_templates_inputs& inputs,
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
    (word ? spec.trigger_words : spec.trigger_patterns).push_back(word ? without_end_space(trigger.value) : trigger.value);
  }
}

/**
 * The reply is either a text that the schema allows or calls of tools, whose grammar begins where a call does. Where a call is required, it is calls
 * from the start: text before them would be held to nothing. False: what comes before a required call is what the template lets come.
 */
bool PromptBuilder::hold_text_beside_calls(const ChatInput& chat, const common_chat_templates_inputs& inputs,
                                           const std::vector<size_t>& origins, const common_chat_params& params,
                                           ConstraintSpec& spec) const {
  // Where a call is only allowed, some grammars of calls allow none, and some templates have no grammar.
  common_chat_templates_inputs required = inputs;
  required.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  const bool must_call = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  RootedGrammar calls{must_call ? params.grammar : apply(required, origins, false).grammar, ""};
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

/**
 * Which message a template refuses for that reason: without it and what follows, it does not. Halving takes few renderings; templates go
 * through messages from the first to the last.
 */
size_t PromptBuilder::refused_message(const common_chat_templates_inputs& inputs, const std::string& reason) const {
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

void PromptBuilder::check_generates() const {
  if (model_->info().generates) return;
  throw EngineError("UNSUPPORTED", "the model (architecture \"" + model_->info().architecture +
                                       "\") is an encoder: it embeds texts, and writes none");
}

PreparedPrompt PromptBuilder::build(const RequestSpec& request, PromptStage& stage) const {
  check_generates();
  stage = PromptStage::kTemplate;
  PreparedPrompt prepared;
  prepared.stops = request.stops;
  ReplyShape shape;
  std::vector<Token> tokens = std::visit([&](const auto& input) { return tokens_of(input, shape, stage); }, request.input);
  prepared.template_stops = std::move(shape.stops);
  if (tokens.empty()) {
    throw EngineError("BAD_OPTION", "the prompt has no tokens; give at least one character of text");
  }
  if (tokens.size() >= static_cast<size_t>(model_->info().context_size)) throw_overflow(std::to_string(tokens.size()));
  const size_t told = tokens.size() * (static_cast<size_t>(request.settings.sampling.top_logprobs) + 1);
  if (request.settings.prompt_logprobs && told > kMostToldLogprobs) {
    throw EngineError("BAD_OPTION", "promptLogprobs tells at most " + std::to_string(kMostToldLogprobs) +
                                        " log-probabilities, and this prompt of " + std::to_string(tokens.size()) +
                                        " tokens has " + std::to_string(told) +
                                        "; shorten it, or ask for fewer topLogprobs");
  }
  prepared.message_starts = std::move(shape.message_starts);
  prepared.prompt = Prompt(std::move(tokens), model_->adapters().variant_of(request.settings.adapters));
  prepared.sampler_parts = make_sampler_parts(*model_, request.settings.sampling, std::move(shape.constraint));
  prepared.syntax = std::move(shape.syntax);
  const bool predicts = std::visit([](const auto& of_reply) { return !of_reply.empty(); }, request.prediction);
  if (predicts) prepared.prediction = tokens_of_prediction(request.prediction, stage);
  return prepared;
}

std::vector<Token> PromptBuilder::tokens_of_prediction(const TextOrTokens& prediction, PromptStage& stage) const {
  const auto* tokens = std::get_if<std::vector<Token>>(&prediction);
  const std::string* text = std::get_if<std::string>(&prediction);
  const size_t fewest = tokens ? tokens->size() : text->size() / model_->longest_piece();
  const size_t room = static_cast<size_t>(model_->info().context_size);
  if (fewest > room) {
    throw EngineError("BAD_OPTION", "prediction has at least " + std::to_string(fewest) + " tokens, and the context holds " +
                                        std::to_string(room) + "; give no more than the reply may have");
  }
  stage = PromptStage::kTokenizer;
  if (text) return model_->tokenize(normalized(*text), false, false);
  const int vocabulary = model_->info().vocabulary_size;
  for (const Token token : *tokens) {
    if (token >= 0 && token < vocabulary) continue;
    throw EngineError("BAD_OPTION", "prediction names token " + std::to_string(token) +
                                        "; the token ids of this vocabulary are 0 to " + std::to_string(vocabulary - 1));
  }
  return *tokens;
}

/** A text that cannot fit whatever its tokens are is refused before they are looked for. */
void PromptBuilder::check_bytes(size_t bytes) const {
  const size_t fewest_tokens = bytes / model_->longest_piece();
  if (fewest_tokens >= static_cast<size_t>(model_->info().context_size)) {
    throw_overflow("at least " + std::to_string(fewest_tokens));
  }
}

std::vector<Token> PromptBuilder::tokenize(const MarkedText& text, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  check_bytes(text.text.size());
  std::vector<Token> tokens = tokenize_marked(model_->vocab(), rights_, text);
  // A prompt, or a template, that begins with BOS itself means the one that the tokenizer has just put before it.
  const Token bos = llama_vocab_bos(model_->vocab());
  const bool adds_bos = llama_vocab_get_add_bos(model_->vocab());
  if (adds_bos && tokens.size() > 1 && tokens[0] == bos && tokens[1] == bos) tokens.erase(tokens.begin());
  return tokens;
}

Answer PromptBuilder::answer(const Question& question, PromptStage& stage) const {
  return std::visit([&](const auto& asked) { return answer_to(asked, stage); }, question);
}

Answer PromptBuilder::answer_to(const TokenizeQuestion& question, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  return TokensAnswer{model_->tokenize(normalized(question.text), question.add_special, question.special)};
}

Answer PromptBuilder::answer_to(const DetokenizeQuestion& question, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  PiecesAnswer answer;
  for (const Token token : question.tokens) {
    work_step();
    model_->append_piece(token, answer.bytes, question.special);
    if (answer.bytes.size() > kMostBytes) {
      throw EngineError("BAD_OPTION", "the tokens stand for more than " + std::to_string(kMostBytes >> 20) + " MB of text");
    }
    answer.ends.push_back(static_cast<int>(answer.bytes.size()));
  }
  if (model_->pads_texts() && !answer.bytes.empty() && answer.bytes.front() == ' ') answer.padding = 1;
  return answer;
}

/** One that is too long is answered, too: who asks wants to know by how much. */
Answer PromptBuilder::answer_to(const RenderQuestion& question, PromptStage& stage) const {
  check_generates();
  stage = PromptStage::kTemplate;
  ReplyShape shape;
  MarkedText text = text_of(question.chat, shape, stage);
  std::vector<Token> tokens = tokenize(text, stage);
  return PromptAnswer{std::move(text.text), std::move(tokens)};
}

// These are answered by the decode thread, with what texts_of() makes of them.
Answer PromptBuilder::answer_to(const EmbedQuestion&, PromptStage&) const {
  throw EngineError("ENGINE_FAILED", "a question for vectors came to the prompt side alone");
}
Answer PromptBuilder::answer_to(const RerankQuestion&, PromptStage&) const {
  throw EngineError("ENGINE_FAILED", "a question for scores came to the prompt side alone");
}

PreparedTexts PromptBuilder::texts_of(const EmbedQuestion& question, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  PreparedTexts prepared;
  prepared.dimensions = question.dimensions;
  prepared.normalize = question.normalize;
  for (const TextOrTokens& given : question.texts) {
    const std::string name = "texts[" + std::to_string(prepared.texts.size()) + "]";
    const auto* text = std::get_if<std::string>(&given);
    std::vector<Token> tokens = text ? model_->tokenize_whole(normalized(*text)) : std::get<std::vector<Token>>(given);
    if (tokens.empty()) throw EngineError("BAD_OPTION", name + " has no tokens; give at least one character of text");
    if (question.truncate) cut(tokens);
    check_fits(tokens.size(), name);
    prepared.texts.push_back(std::move(tokens));
  }
  return prepared;
}

PreparedTexts PromptBuilder::texts_of(const RerankQuestion& question, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  const auto room = static_cast<size_t>(model_->info().context_size);
  PreparedTexts prepared;
  prepared.normalize = false;
  for (const std::string& document : question.documents) {
    const std::string name = "the query with documents[" + std::to_string(prepared.texts.size()) + "]";
    std::vector<Token> tokens = pair_of(question, document);
    if (question.truncate && tokens.size() > room) {
      const size_t own = model_->tokenize(normalized(document), false, false).size(), beyond = tokens.size() - room;
      // A token more, since a text that is cut may have another one at its end.
      if (own > beyond + 1) tokens = pair_of(question, beginning_of(document, own - beyond - 1));
    }
    check_fits(tokens.size(), name);
    prepared.texts.push_back(std::move(tokens));
  }
  return prepared;
}

/** As llama-server puts them together, but that what looks like a control token is text. */
std::vector<Token> PromptBuilder::pair_of(const RerankQuestion& question, const std::string& document) const {
  if (const char* form = llama_model_chat_template(model_->get(), "rerank")) {
    return pair_in(form, normalized(question.query), normalized(document));
  }
  const llama_vocab* vocab = model_->vocab();
  const Token end = llama_vocab_eos(vocab) != LLAMA_TOKEN_NULL ? llama_vocab_eos(vocab) : llama_vocab_sep(vocab);
  const bool adds_end = model_->adds_end() && end != LLAMA_TOKEN_NULL;
  std::vector<Token> tokens;
  const auto append = [&](const std::vector<Token>& more) { tokens.insert(tokens.end(), more.begin(), more.end()); };
  if (llama_vocab_get_add_bos(vocab) && llama_vocab_bos(vocab) != LLAMA_TOKEN_NULL) tokens.push_back(llama_vocab_bos(vocab));
  append(model_->tokenize(normalized(question.query), false, false));
  if (adds_end) tokens.push_back(end);
  if (llama_vocab_get_add_sep(vocab) && llama_vocab_sep(vocab) != LLAMA_TOKEN_NULL) tokens.push_back(llama_vocab_sep(vocab));
  append(model_->tokenize(normalized(document), false, false));
  if (adds_end) tokens.push_back(end);
  return tokens;
}

/** `form`: the file's, with {query} and {document} in it. */
std::vector<Token> PromptBuilder::pair_in(const std::string& form, const std::string& query,
                                          const std::string& document) const {
  constexpr std::string_view kQuery = "{query}", kDocument = "{document}";
  std::string text;
  std::vector<InputRange> input;
  for (size_t at = 0; at < form.size();) {
    const bool is_query = form.compare(at, kQuery.size(), kQuery) == 0;
    const bool is_document = form.compare(at, kDocument.size(), kDocument) == 0;
    if (!is_query && !is_document) {
      text += form[at++];
      continue;
    }
    const std::string& given = is_query ? query : document;
    input.push_back({text.size(), text.size() + given.size(), false});
    text += given;
    at += is_query ? kQuery.size() : kDocument.size();
    if (text.size() > kMostBytes)
      throw EngineError("BAD_OPTION", "the file's form for reranking repeats its texts too often");
  }
  const InputRanges ranges(input, rights_);
  const InputRanges::Scope scope(&ranges);
  return model_->tokenize(text, false, true);
}

std::string PromptBuilder::beginning_of(const std::string& text, size_t tokens) const {
  std::vector<Token> all = model_->tokenize(normalized(text), false, false);
  std::string beginning;
  for (size_t i = 0; i < std::min(tokens, all.size()); i++) model_->append_piece(all[i], beginning);
  if (model_->pads_texts() && !beginning.empty() && beginning.front() == ' ') beginning.erase(0, 1);
  while (!beginning.empty() && (static_cast<unsigned char>(beginning.back()) & 0xC0) == 0x80) beginning.pop_back();
  if (!beginning.empty() && static_cast<unsigned char>(beginning.back()) >= 0xC0) beginning.pop_back();
  return beginning;
}

void PromptBuilder::check_fits(size_t tokens, const std::string& text) const {
  const auto room = static_cast<size_t>(model_->info().context_size);
  if (tokens <= room) return;
  throw EngineError("CONTEXT_OVERFLOW", text + " has " + std::to_string(tokens) + " tokens, and the context holds " +
                                            std::to_string(room) +
                                            "; shorten it, have it cut with truncate: true, or open the model with a larger "
                                            "contextSize");
}

/** Keeps the beginning of a text, and the token that ends it. */
void PromptBuilder::cut(std::vector<Token>& tokens) const {
  const auto room = static_cast<size_t>(model_->info().context_size);
  if (tokens.size() <= room) return;
  const Token last = tokens.back();
  tokens.resize(room);
  if (llama_vocab_is_control(model_->vocab(), last)) tokens.back() = last;
}

std::string PromptBuilder::normalized(const std::string& text) const { return normalizes() ? normalize_nfc(text) : text; }

/** llama.cpp does not normalize text, and who wrote it sees no difference. */
bool PromptBuilder::normalizes() const { return !model_->info().normalizer.empty(); }

}  // namespace zse
