// Owns what prompt workers are given to do: a stream's prompt, whose outcome goes to the decode thread's inbox, and a question about a
// text, whose answer goes to JavaScript. Made on the JavaScript thread, run on a worker's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/ids.h"
#include "core/inbox.h"
#include "core/prompt.h"
#include "core/prompt_workers.h"
#include "core/request.h"
#include "core/stats.h"
#include "core/stream_queue.h"
#include "llama/prompt.h"

namespace zse {

/** A stream's prompt. Ends in one SubmitCommand or RejectCommand. */
class PromptTask : public PromptWorkers::Task {
 public:
  PromptTask(const PromptBuilder& builder, Inbox& inbox, EngineStats& stats, std::shared_ptr<StreamControl> control,
             RequestSpec request);
  WorkLimits limits() const override { return builder_.limits(); }
  void run() override;
  void takes_long() override;
  void finished() override;
  void stopped(WorkStop why, uint64_t tokens) override;

 private:
  void reject(std::string code, std::string message);
  void hand_on(Command command);

  const PromptBuilder& builder_;
  Inbox& inbox_;
  EngineStats& stats_;
  bool counted_as_long_ = false;
  std::shared_ptr<StreamControl> control_;
  RequestSpec request_;
  PromptStage stage_ = PromptStage::kTemplate;
  Prompt prompt_;
  std::unique_ptr<EngineError> failure_;
};

/** The tokens of a text. Ends in one AnswerEvent or AnswerErrorEvent. */
class TokenizeTask : public PromptWorkers::Task {
 public:
  TokenizeTask(const PromptBuilder& builder, StreamQueue& events, uint32_t question, std::string text, bool special);
  WorkLimits limits() const override { return {}; }  // the caller's own text, and the caller may close the model
  void run() override;
  void finished() override;
  void stopped(WorkStop why, uint64_t tokens) override;

 private:
  const PromptBuilder& builder_;
  StreamQueue& events_;
  const uint32_t question_;
  const std::string text_;
  const bool special_;
  std::vector<Token> tokens_;
  std::unique_ptr<EngineError> failure_;
};

}  // namespace zse
