// Owns what a request makes of its reply: the syntax in which it is read, and the grammar that holds it to tools, a schema or a grammar of the
// caller's, beside thoughts. Under a WorkBound, on a prompt worker's thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "chat_template.h"
#include "constraint.h"
#include "core/request.h"
#include "grammars.h"
#include "reply_parser.h"

struct common_chat_params;
struct common_chat_templates_inputs;

namespace zse {

class Model;

struct ReplyShape {
  std::unique_ptr<Constraint> constraint;     // null: none
  std::shared_ptr<const ReplySyntax> syntax;  // null: it is text
  std::vector<std::string> stops;             // of the template's
};

class ReplyShaper {
 public:
  ReplyShaper(std::shared_ptr<const Model> model, const ChatTemplate& chat_template)
      : model_(std::move(model)), template_(chat_template) {}

  /** Of a chat whose template was given `inputs` and gave `params`. Throws EngineError BAD_OPTION, UNSUPPORTED. */
  ReplyShape of_chat(const ChatInput& chat, const common_chat_templates_inputs& inputs, const std::vector<size_t>& origins,
                     const common_chat_params& params) const;

  /** Of a text that is continued. Throws EngineError BAD_OPTION. */
  ReplyShape of_text(const TextShape& text) const;

 private:
  void hold_reply(const ChatInput& chat, const common_chat_templates_inputs& inputs, const common_chat_params& params,
                  bool held, ConstraintSpec& spec) const;
  bool hold_text_beside_calls(const ChatInput& chat, const common_chat_templates_inputs& inputs,
                              const std::vector<size_t>& origins, const common_chat_params& params,
                              ConstraintSpec& spec) const;

  const std::shared_ptr<const Model> model_;
  const ChatTemplate& template_;
  mutable ReplySyntaxes syntaxes_;
  mutable Grammars grammars_;
};

}  // namespace zse
