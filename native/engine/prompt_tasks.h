// Owns the prompt side of an engine: what builds prompts, the threads that do it, and what they are given to do. A stream's prompt goes to the
// decode thread's inbox, the answer to a question goes to JavaScript. Tasks are made on the JavaScript thread and run on a
// worker's, within the bounds of llama/prompt.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "core/events.h"
#include "core/ids.h"
#include "core/inbox.h"
#include "core/prompt_workers.h"
#include "core/request.h"
#include "core/stats.h"
#include "core/stream_queue.h"
#include "llama/prompt.h"

namespace zse {

/** What an engine knows of its prompt side. Its calls come one at a time, and never wait for a prompt. */
class PromptSide {
 public:
  /** Reads the model's template, for a few seconds at most. `cancelled` ends that with WorkStopped. */
  PromptSide(std::shared_ptr<const Model> model, const std::atomic<bool>& cancelled, Inbox& inbox, StreamQueue& events,
             EngineStats& stats);

  /** Its outcome comes as one SubmitCommand or RejectCommand. Throws EngineError ENGINE_FAILED where there is no thread for it. */
  void prepare(std::shared_ptr<StreamControl> control, RequestSpec request);
  /** Its outcome comes as one AnswerEvent or AnswerErrorEvent. Throws as prepare() does. */
  void ask(uint32_t number, Question question);

  /**
   * Prepares the texts of a question that the decode thread answers: an EmbedQuestion or a RerankQuestion. Their outcome comes to it as one
   * EmbedCommand or RefuseCommand. Throws as prepare() does.
   */
  void embed(std::shared_ptr<QuestionControl> control, Question question);

  /** A stream's reply, or its beginning, is read: one ParsedCommand answers, where there is no thread too. */
  void parse(StreamId stream, ParseRequest request);

  /** The stream's prompt, if it is not ready, is prepared no further. */
  void cancel(StreamId stream);
  /** The question, if its texts are not prepared, is answered with an error. */
  void withdraw(uint32_t question);
  /** Everything is stopped as cancelled, later ones at once. */
  void close() { workers_.close(); }

 private:
  const PromptBuilder builder_;
  Inbox& inbox_;
  StreamQueue& events_;
  EngineStats& stats_;
  PromptWorkers workers_;  // ends before what its tasks use
};

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
  PreparedPrompt prepared_;
  std::unique_ptr<EngineError> failure_;
};

/** What a text is made of, by its template's syntax. Ends in one ParsedCommand. */
class ParseTask : public PromptWorkers::Task {
 public:
  ParseTask(Inbox& inbox, StreamId stream, ParseRequest request);
  WorkLimits limits() const override;
  void run() override;
  void finished() override;
  void stopped(WorkStop why, uint64_t tokens) override;

 private:
  Inbox& inbox_;
  const StreamId stream_;
  const ParseRequest request_;
  ParsedReply reply_;
};

/** The texts of a question that the decode thread answers. Ends in one EmbedCommand or RefuseCommand. */
class TextsTask : public PromptWorkers::Task {
 public:
  TextsTask(const PromptBuilder& builder, Inbox& inbox, std::shared_ptr<QuestionControl> control, Question question);
  WorkLimits limits() const override;
  void run() override;
  void finished() override;
  void stopped(WorkStop why, uint64_t tokens) override;

 private:
  const PromptBuilder& builder_;
  Inbox& inbox_;
  std::shared_ptr<QuestionControl> control_;
  const Question question_;
  PromptStage stage_ = PromptStage::kTokenizer;
  PreparedTexts texts_;
  std::unique_ptr<EngineError> failure_;
};

/** What is asked beside replies. Ends in one AnswerEvent or AnswerErrorEvent. */
class QuestionTask : public PromptWorkers::Task {
 public:
  QuestionTask(const PromptBuilder& builder, StreamQueue& events, uint32_t number, Question question);
  WorkLimits limits() const override;
  void run() override;
  void finished() override;
  void stopped(WorkStop why, uint64_t tokens) override;

 private:
  const PromptBuilder& builder_;
  StreamQueue& events_;
  const uint32_t number_;
  const Question question_;
  PromptStage stage_ = PromptStage::kTokenizer;
  Answer answer_;
  std::unique_ptr<EngineError> failure_;
};

}  // namespace zse
