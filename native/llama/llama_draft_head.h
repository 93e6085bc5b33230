// Owns the model's own head that guesses its next tokens (multi-token prediction, MTP): a context beside the model's, which holds what the head has followed
// of each slot. Guesses with llama.cpp's common/speculative. Decode thread only.
#pragma once

#include <memory>
#include <vector>

#include "abortable.h"
#include "core/draft_model.h"
#include "llama.h"
#include "speculative.h"

namespace zse {

class LlamaDecoder;
class Model;

/**
 * The head guesses from what the model computed for the last token (its hidden row), which no text can give back. So it reads nothing: it follows the steps
 * of replies for which it is asked. What it has missed of a slot is lost, and it begins anew behind that.
 */
class LlamaDraftHead final : public DraftModel {
 public:
  /** `rows`: of a step at most, which all decode. Throws EngineError UNSUPPORTED where the head cannot be computed. `target` must live longer. */
  LlamaDraftHead(const Model& model, const LlamaDecoder& target, int rows);
  ~LlamaDraftHead() override;

  size_t cache_bytes() const override;
  /** 0, or 1 where it has not followed the slot so far: the next step, where it is asked to. */
  int behind(SlotId slot, const std::vector<Token>& known) override;
  bool read(const std::vector<DraftWish>& wishes, int most, const AbortCheck& abort) override;
  void draft(const std::vector<DraftWish>& wishes, const AbortCheck& abort) override;
  /** Each guess is a pass over the output matrix, and it is there for every reply: a try costs no more than it must. */
  int tries() const override { return 1; }
  void pass_over(SlotId slot) override;
  void computed(const std::vector<ComputedReply>& replies, const AbortCheck& abort) override;

 private:
  struct ContextDeleter {
    void operator()(llama_context* context) const { llama_free(context); }
  };

  /** What it has followed of a slot: these tokens, from `from` on. Its row is of the last token before their end. */
  struct Followed {
    bool begun = false;
    size_t from = 0;
    std::vector<Token> tokens;
    int passed_over = 0;  // steps on end in which it was not asked to guess
  };

  bool follows(SlotId slot, const std::vector<Token>& known, size_t end) const;
  void ask(SlotId slot);
  void cut(SlotId slot, size_t end);
  void forget(SlotId slot);
  void tell_rows(bool wanted);

  llama_context* const target_;
  Abortable abortable_;  // outlives the context that asks it
  std::unique_ptr<llama_context, ContextDeleter> context_;
  common_speculative_ptr speculative_;
  llama_batch batch_;
  size_t width_;  // numbers of a row
  int longest_;   // draft
  std::vector<Followed> followed_;
  std::vector<bool> asked_;  // by slot: in the step under way
};

}  // namespace zse
