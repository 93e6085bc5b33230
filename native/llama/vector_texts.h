// Owns the tokens of texts whose vectors or scores are wanted: each whole, cut where that is asked for, and pairs of a query and a document in the
// model's form. Under a WorkBound, on a prompt worker's thread.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/request.h"
#include "marked_text.h"

namespace zse {

class Model;

class VectorTexts {
 public:
  /** `rights`: of the model's tokens, which outlive this. */
  VectorTexts(std::shared_ptr<const Model> model, const std::vector<TokenRight>& rights)
      : model_(std::move(model)), rights_(rights) {}

  /** Throws EngineError BAD_OPTION, CONTEXT_OVERFLOW that names the text, and WorkStopped. */
  PreparedTexts of(const EmbedQuestion& question) const;
  /** The same of pairs. */
  PreparedTexts of(const RerankQuestion& question) const;

 private:
  void check_fits(size_t tokens, const std::string& text) const;
  void cut(std::vector<Token>& tokens) const;
  std::vector<Token> pair_of(const RerankQuestion& question, const std::string& document) const;
  std::vector<Token> pair_in(const std::string& form, const std::string& query, const std::string& document) const;
  /** The beginning of a text, so that it has that many tokens. */
  std::string beginning_of(const std::string& text, size_t tokens) const;

  const std::shared_ptr<const Model> model_;
  const std::vector<TokenRight>& rights_;
};

}  // namespace zse
