// Owns the way from a request's messages or text to prompt tokens: chat template, tokenizer, the check that they fit; and the answers to what is asked
// beside replies. Runs under a WorkBound, on a prompt worker's thread; it never touches the llama_context.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/work_bound.h"
#include "chat_template.h"
#include "core/events.h"
#include "core/ids.h"
#include "core/request.h"
#include "marked_text.h"
#include "reply_shape.h"
#include "vector_texts.h"

struct common_chat_msg_delimiters;

namespace zse {

class Model;

/** What a piece of prompt building was doing, for whoever has to say why it was stopped. */
enum class PromptStage { kTemplate, kGrammar, kTokenizer };

class PromptBuilder {
 public:
  /** Reads the model's template, for a few seconds at most. `cancelled` ends that with WorkStopped. */
  PromptBuilder(std::shared_ptr<const Model> model, const std::atomic<bool>& cancelled);

  /** What building one prompt may take. */
  WorkLimits limits() const;

  /** What the request's text becomes. Throws EngineError BAD_OPTION, CONTEXT_OVERFLOW or UNSUPPORTED, and WorkStopped. */
  PreparedPrompt build(const RequestSpec& request, PromptStage& stage) const;

  /** What is asked beside replies. Throws EngineError and WorkStopped. */
  Answer answer(const Question& question, PromptStage& stage) const;

  /** The tokens of texts whose vectors are wanted. Throws as answer(); CONTEXT_OVERFLOW names the text. */
  PreparedTexts texts_of(const EmbedQuestion& question, PromptStage& stage) const;
  /** The same of pairs of a query and a document. */
  PreparedTexts texts_of(const RerankQuestion& question, PromptStage& stage) const;

  /** The error that a prompt ends with that was stopped. `tokens`: how many it had come to. */
  EngineError stopped(WorkStop why, PromptStage stage, uint64_t tokens) const;

 private:
  /** What comes of a request's input beside the tokens. */
  struct PromptParts {
    ReplyShape reply;
    std::shared_ptr<common_chat_msg_delimiters> delimiters;  // of messages; null where nobody asks for them
    std::vector<int> message_starts;
  };
  /** The text of the prompt; what else comes of the input goes into `parts`. */
  MarkedText text_of(const ChatInput& chat, PromptParts& parts, PromptStage& stage) const;
  /** The prompt's tokens; as text_of(). */
  std::vector<Token> tokens_of(const ChatInput& chat, PromptParts& parts, PromptStage& stage) const;
  std::vector<Token> tokens_of(const TextInput& text, PromptParts& parts, PromptStage& stage) const;
  std::vector<Token> tokens_of(const TokensInput& tokens, PromptParts& parts, PromptStage& stage) const;
  std::vector<Token> tokens_of(const InfillInput& infill, PromptParts& parts, PromptStage& stage) const;
  std::vector<Token> tokens_of_prediction(const TextOrTokens& prediction, PromptStage& stage) const;
  std::vector<Token> tokenize(const MarkedText& text, PromptStage& stage) const;
  std::vector<int> starts_of(const common_chat_msg_delimiters& delimiters, const std::vector<Token>& tokens) const;
  Answer answer_to(const TokenizeQuestion& question, PromptStage& stage) const;
  Answer answer_to(const DetokenizeQuestion& question, PromptStage& stage) const;
  Answer answer_to(const RenderQuestion& question, PromptStage& stage) const;
  /** The others are the decode thread's, with what texts_of() makes of some. */
  template <class Other>
  Answer answer_to(const Other&, PromptStage&) const {
    throw EngineError("ENGINE_FAILED", "a question for the decode thread came to the prompt side alone");
  }
  void check_generates() const;

  const std::shared_ptr<const Model> model_;
  const std::vector<TokenRight> rights_;
  const bool finds_messages_;  // where they begin: the model's memory can be cut at few places
  const ChatTemplate template_;
  const ReplyShaper shaper_;
  const VectorTexts vector_texts_;
};

}  // namespace zse
