// Owns the choice of a model's chat template: the file's own, or a fallback picked by its control tokens and architecture.
// Pure but for looking tokens up in the vocabulary; decode thread, while loading.
#pragma once

#include <functional>
#include <string>

namespace zse {

class Model;

struct ChatTemplateChoice {
  bool from_model = false;
  std::string name;    // "own", or the fallback's: chatml, llama3, gemma, phi3, llama2
  std::string source;  // Jinja
};

/** The fallback for a vocabulary in which `has_token` finds control tokens by their text. */
std::string fallback_template_name(const std::function<bool(const char*)>& has_token, const std::string& architecture);

ChatTemplateChoice choose_chat_template(const Model& model);

}  // namespace zse
