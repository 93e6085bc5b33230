#include "prompt.h"

#include <exception>
#include <string>

#include "chat.h"
#include "json.h"
#include "model.h"

namespace zse {

namespace {

[[noreturn]] void throw_overflow(const std::string& tokens, int context_size) {
  throw EngineError("CONTEXT_OVERFLOW", "the prompt has " + tokens + " tokens, and the context of a stream holds " +
                                            std::to_string(context_size) +
                                            " including at least one of the reply; shorten the prompt or open the model "
                                            "with a larger contextSize");
}

}  // namespace

void PromptBuilder::TemplatesDeleter::operator()(common_chat_templates* templates) const {
  common_chat_templates_free(templates);
}

PromptBuilder::PromptBuilder(std::shared_ptr<const Model> model) : model_(std::move(model)) {
  try {
    templates_.reset(common_chat_templates_init(model_->get(), model_->info().template_text).release());
  } catch (const std::exception& e) {
    template_error_ = e.what();
  }
}

PromptBuilder::~PromptBuilder() = default;

std::string PromptBuilder::render(const std::string& messages_json) const {
  if (!templates_) {
    throw EngineError("UNSUPPORTED", "the model file's chat template cannot be used (" + template_error_ +
                                         "); its text can still be continued with completionStream");
  }
  try {
    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(common_json::parse(messages_json));
    inputs.add_generation_prompt = true;
    inputs.use_jinja = true;
    inputs.force_pure_content = true;  // no tools here, so no parser for the reply has to be derived from the template
    return common_chat_templates_apply(templates_.get(), inputs).prompt;
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", "the model's chat template refused the messages: " + std::string(e.what()));
  }
}

std::vector<Token> PromptBuilder::build(const RequestSpec& request) const {
  const std::string text = request.is_chat ? render(request.messages_json) : request.prompt;
  const int context_size = model_->info().context_size;

  // Tokenizing costs time that others wait for: a text that cannot fit whatever its tokens are is refused before.
  const size_t fewest_tokens = text.size() / model_->longest_piece();
  if (fewest_tokens >= static_cast<size_t>(context_size)) {
    throw_overflow("at least " + std::to_string(fewest_tokens), context_size);
  }
  std::vector<Token> tokens = model_->tokenize(text, true, true);
  if (tokens.empty()) {
    throw EngineError("BAD_OPTION", "the prompt has no tokens; give at least one character of text");
  }
  if (tokens.size() >= static_cast<size_t>(context_size)) throw_overflow(std::to_string(tokens.size()), context_size);
  return tokens;
}

}  // namespace zse
