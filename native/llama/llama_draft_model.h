// Owns the draft model: a smaller model of the same vocabulary, its context, and what that has read of each slot. Guesses with llama.cpp's
// common/speculative. Decode thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "abortable.h"
#include "core/draft_model.h"
#include "llama.h"
#include "speculative.h"

namespace zse {

class LlamaDecoder;
class Model;

class LlamaDraftModel final : public DraftModel {
 public:
  /**
   * Drafts for the streams of `target`, on its threads: it must live longer. Throws EngineError UNSUPPORTED where the two do not go together, and
   * ENGINE_FAILED where no context can be made.
   */
  LlamaDraftModel(std::shared_ptr<const Model> model, const Model& target_model, const LlamaDecoder& target);
  ~LlamaDraftModel() override;

  size_t cache_bytes() const override;
  int behind(SlotId slot, const std::vector<Token>& known) override;
  bool read(const std::vector<DraftWish>& wishes, int most, const AbortCheck& abort) override;
  int rides_along() const override;
  void draft(const std::vector<DraftWish>& wishes, const AbortCheck& abort) override;

 private:
  struct ContextDeleter {
    void operator()(llama_context* context) const { llama_free(context); }
  };

  /** What it has read of a slot: of a long text its first tokens, which attention falls back to, and those from `from` on. */
  struct Held {
    std::vector<Token> tokens;
    size_t from = 0;
  };

  size_t count(const Held& held, const std::vector<Token>& known) const;
  Token token(const Held& held, const std::vector<Token>& known, size_t index) const;
  Token readable(Token token) const { return token < vocabulary_ ? token : 0; }
  void cut(SlotId slot, size_t tokens);

  std::shared_ptr<const Model> model_;
  Abortable abortable_;  // outlives the context that asks it
  std::unique_ptr<llama_context, ContextDeleter> context_;
  common_speculative_ptr speculative_;
  llama_batch batch_;
  int vocabulary_, target_vocabulary_;
  size_t context_size_;  // tokens of a slot
  size_t reach_;         // tokens that it reads of a text that it has not read yet
  int longest_;          // draft
  std::vector<Held> held_;
};

}  // namespace zse
