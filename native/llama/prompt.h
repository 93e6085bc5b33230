// Owns the way from a request's messages or text to prompt tokens: chat template (llama.cpp's Jinja), tokenizer, and the check
// that they fit; and what the template says of the reply: its syntax, and the grammar that holds it to tools or a schema. Runs under a WorkBound, on a prompt worker's thread; it never touches the llama_context.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/work_bound.h"
#include "constraint.h"
#include "core/events.h"
#include "core/ids.h"
#include "core/request.h"
#include "grammars.h"
#include "marked_text.h"
#include "message_bridges.h"
#include "reply_parser.h"

struct common_chat_msg_delimiters;
struct common_chat_templates;
struct common_chat_params;
struct common_chat_templates_inputs;

namespace zse {

class Model;

/** What a piece of prompt building was doing, for whoever has to say why it was stopped. */
enum class PromptStage { kTemplate, kGrammar, kTokenizer };

class PromptBuilder {
 public:
  /** Reads the model's template, for a few seconds at most. `cancelled` ends that with WorkStopped. */
  PromptBuilder(std::shared_ptr<const Model> model, const std::atomic<bool>& cancelled);
  ~PromptBuilder();

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
  /** What a request makes of its reply. */
  struct ReplyShape {
    std::unique_ptr<Constraint> constraint;                  // null: none
    std::shared_ptr<const ReplySyntax> syntax;               // null: it is text
    std::vector<std::string> stops;                          // of the template's
    std::shared_ptr<common_chat_msg_delimiters> delimiters;  // of messages; null where nobody asks for them
    std::vector<int> message_starts;
  };
  struct TemplatesDeleter {
    void operator()(common_chat_templates* templates) const;
  };
  /** The text of the prompt; what else comes of the input goes into `shape`. */
  MarkedText text_of(const ChatInput& chat, ReplyShape& shape, PromptStage& stage) const;
  /** The prompt's tokens; as text_of(). */
  std::vector<Token> tokens_of(const ChatInput& chat, ReplyShape& shape, PromptStage& stage) const;
  std::vector<Token> tokens_of(const TextInput& text, ReplyShape& shape, PromptStage& stage) const;
  std::vector<Token> tokens_of(const TokensInput& tokens, ReplyShape& shape, PromptStage& stage) const;
  std::vector<Token> tokens_of(const InfillInput& infill, ReplyShape& shape, PromptStage& stage) const;
  std::vector<Token> tokenize(const MarkedText& text, PromptStage& stage) const;
  std::vector<int> starts_of(const common_chat_msg_delimiters& delimiters, const std::vector<Token>& tokens) const;
  void check_bytes(size_t bytes) const;
  std::vector<Token> tokens_of_prediction(const TextOrTokens& prediction, PromptStage& stage) const;
  void shape_text(const TextShape& text, ReplyShape& shape, PromptStage& stage) const;
  Answer answer_to(const TokenizeQuestion& question, PromptStage& stage) const;
  Answer answer_to(const DetokenizeQuestion& question, PromptStage& stage) const;
  Answer answer_to(const RenderQuestion& question, PromptStage& stage) const;
  Answer answer_to(const EmbedQuestion& question, PromptStage& stage) const;
  Answer answer_to(const RerankQuestion& question, PromptStage& stage) const;
  void check_generates() const;
  void check_fits(size_t tokens, const std::string& text) const;
  void cut(std::vector<Token>& tokens) const;
  std::vector<Token> pair_of(const RerankQuestion& question, const std::string& document) const;
  std::vector<Token> pair_in(const std::string& form, const std::string& query, const std::string& document) const;
  /** The beginning of a text, so that it has that many tokens. */
  std::string beginning_of(const std::string& text, size_t tokens) const;
  /** As a text is tokenized: in the form that the vocabulary wants it. */
  std::string normalized(const std::string& text) const;
  common_chat_templates_inputs template_inputs(const ChatInput& chat, std::vector<size_t>& origins) const;
  void read_tools(const ChatInput& chat, common_chat_templates_inputs& inputs) const;
  void learn_replies() const;
  void find_quirks(const std::atomic<bool>& cancelled);
  common_chat_params apply(const common_chat_templates_inputs& inputs, const std::vector<size_t>& origins, bool plain) const;
  void shape_reply(const ChatInput& chat, const common_chat_templates_inputs& inputs, const std::vector<size_t>& origins,
                   const common_chat_params& params, ReplyShape& shape) const;
  void hold_reply(const ChatInput& chat, const common_chat_templates_inputs& inputs, const common_chat_params& params,
                  bool held, ConstraintSpec& spec) const;
  bool hold_text_beside_calls(const ChatInput& chat, const common_chat_templates_inputs& inputs,
                              const std::vector<size_t>& origins, const common_chat_params& params,
                              ConstraintSpec& spec) const;
  size_t refused_message(const common_chat_templates_inputs& inputs, const std::string& reason) const;
  bool normalizes() const;
  [[noreturn]] void throw_overflow(const std::string& tokens) const;

  std::shared_ptr<const Model> model_;
  std::unique_ptr<common_chat_templates, TemplatesDeleter> templates_;
  std::vector<TokenRight> rights_;
  const bool finds_messages_;  // where they begin: the model's memory can be cut at few places
  TemplateTraits traits_;
  mutable ReplySyntaxes syntaxes_;
  mutable Grammars grammars_;
  std::string template_error_;  // why there are none: completions work all the same
};

}  // namespace zse
