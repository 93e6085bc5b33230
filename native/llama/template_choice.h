// Owns the choice of a model's chat template: the file's own, or a fallback picked by its control tokens and architecture.
// Pure but for looking tokens up in the vocabulary; decode thread, while loading.
#pragma once

#include <string>

namespace zse {

class Model;

struct ChatTemplateChoice {
  bool from_model = false;
  std::string name;    // "own", or the fallback's: chatml, llama3, gemma, phi3, llama2
  std::string source;  // Jinja
};

ChatTemplateChoice choose_chat_template(const Model& model);

}  // namespace zse
