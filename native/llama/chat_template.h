// Owns the model's chat template, as llama.cpp applies it: its quirks, what it is given of a request, and whom it refuses. Under a WorkBound, on a
// prompt worker's thread; made on the decode thread, while loading.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/request.h"
#include "message_bridges.h"

struct common_chat_params;
struct common_chat_templates;
struct common_chat_templates_inputs;

namespace zse {

class Model;

/** Whether the reply may call tools. */
bool may_call(const common_chat_templates_inputs& inputs);

class ChatTemplate {
 public:
  /** Reads the model's template, for a few seconds at most. `cancelled` ends that with WorkStopped. */
  ChatTemplate(std::shared_ptr<const Model> model, const std::atomic<bool>& cancelled);
  ~ChatTemplate();

  /**
   * What the template is given. `origins`: of each message, its place among what was sent. Throws EngineError UNSUPPORTED where the file's template
   * cannot be used, BAD_OPTION, CONTEXT_OVERFLOW.
   */
  common_chat_templates_inputs inputs_of(const ChatInput& chat, std::vector<size_t>& origins) const;

  /**
   * The prompt's text, and what is known of its reply. `plain`: text is asked for and nothing else, so a template whose replies cannot be told apart
   * does, too. Throws EngineError BAD_OPTION that names the message or the schema, and UNSUPPORTED.
   */
  common_chat_params apply(const common_chat_templates_inputs& inputs, const std::vector<size_t>& origins, bool plain) const;

 private:
  struct Deleter {
    void operator()(common_chat_templates* templates) const;
  };
  void learn_replies() const;
  void find_quirks(const std::atomic<bool>& cancelled);
  void read_tools(const ChatInput& chat, common_chat_templates_inputs& inputs) const;
  size_t refused_message(const common_chat_templates_inputs& inputs, const std::string& reason) const;

  const std::shared_ptr<const Model> model_;
  std::unique_ptr<common_chat_templates, Deleter> templates_;
  TemplateTraits traits_;
  std::string error_;  // why there are none: completions work all the same
};

}  // namespace zse
