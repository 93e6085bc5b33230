#include "template_choice.h"

#include "core/ids.h"
#include "files/fallback_templates.h"
#include "model.h"

namespace zse {

namespace {

bool has_control_token(const Model& model, const char* text) {
  const std::vector<Token> tokens = model.tokenize(text, false, true);
  return tokens.size() == 1;
}

}  // namespace

ChatTemplateChoice choose_chat_template(const Model& model) {
  const char* own = llama_model_chat_template(model.get(), nullptr);
  if (own && *own) return {true, "own", own};
  const std::string name =
      fallback_template_name([&](const char* text) { return has_control_token(model, text); }, model.info().architecture);
  return {false, name, fallback_template(name)};
}

}  // namespace zse
