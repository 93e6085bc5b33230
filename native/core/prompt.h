// Owns the way from a request's messages or text to prompt tokens: chat template (llama.cpp's Jinja), tokenizer, and the check
// that they fit. Prompt thread only; it never touches the llama_context.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "inbox.h"
#include "types.h"

struct common_chat_templates;

namespace zse {

class Model;

class PromptBuilder {
 public:
  explicit PromptBuilder(std::shared_ptr<const Model> model);
  ~PromptBuilder();

  /** Tokens of the request's prompt. Throws EngineError BAD_OPTION, CONTEXT_OVERFLOW or UNSUPPORTED. */
  std::vector<Token> build(const RequestSpec& request) const;

 private:
  struct TemplatesDeleter {
    void operator()(common_chat_templates* templates) const;
  };
  std::string render(const std::string& messages_json) const;

  std::shared_ptr<const Model> model_;
  std::unique_ptr<common_chat_templates, TemplatesDeleter> templates_;
  std::string template_error_;  // why there are none: completions work all the same
};

}  // namespace zse
