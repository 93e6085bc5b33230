#include "prompt_tasks.h"

#include <chrono>
#include <exception>
#include <utility>
#include <variant>

#include "llama/ggml_abort.h"

namespace zse {

namespace {

constexpr PromptWorkers::Id kQuestions = PromptWorkers::Id{1} << 32;  // beyond every stream's id
constexpr PromptWorkers::Id kReplies = PromptWorkers::Id{2} << 32;
constexpr std::chrono::seconds kParseTime{5};
constexpr uint64_t kParseSteps = uint64_t{1} << 31;
constexpr uint64_t kMostTextTokens = uint64_t{1} << 24;  // of the texts of one question

/** The answer where a reply could not be read at all. */
ParsedReply unread() {
  ParsedReply reply;
  reply.matches = false;
  return reply;
}

/** Runs `work`; what it fails with is kept, and what stops it goes on. */
template <class Work>
std::unique_ptr<EngineError> failure_of(const char* doing, Work work) {
  try {
    const AbortGuard guard(
        AbortBlame::kEngine);  // an assertion of llama.cpp's about a vocabulary or template is this prompt's failure
    work();
    return nullptr;
  } catch (const EngineError& e) {
    return std::make_unique<EngineError>(e);
  } catch (const std::exception& e) {
    return std::make_unique<EngineError>("ENGINE_FAILED", std::string(doing) + ": " + e.what());
  }
}

}  // namespace

PromptSide::PromptSide(std::shared_ptr<const Model> model, const std::atomic<bool>& cancelled, Inbox& inbox,
                       StreamQueue& events, EngineStats& stats)
    : builder_(std::move(model), cancelled), inbox_(inbox), events_(events), stats_(stats) {}

void PromptSide::prepare(std::shared_ptr<StreamControl> control, RequestSpec request) {
  const auto id = static_cast<PromptWorkers::Id>(control->id);
  workers_.submit(id, std::make_unique<PromptTask>(builder_, inbox_, stats_, std::move(control), std::move(request)));
}

void PromptSide::ask(uint32_t number, Question question) {
  workers_.submit(kQuestions + number, std::make_unique<QuestionTask>(builder_, events_, number, std::move(question)));
}

void PromptSide::embed(std::shared_ptr<QuestionControl> control, Question question) {
  const PromptWorkers::Id id = kQuestions + control->number;
  workers_.submit(id, std::make_unique<TextsTask>(builder_, inbox_, std::move(control), std::move(question)));
}

void PromptSide::withdraw(uint32_t question) { workers_.cancel(kQuestions + question); }

void PromptSide::parse(StreamId stream, ParseRequest request) {
  try {
    workers_.submit(kReplies + static_cast<PromptWorkers::Id>(stream),
                    std::make_unique<ParseTask>(inbox_, stream, std::move(request)));
  } catch (const EngineError&) {
    inbox_.push(ParsedCommand{stream, unread()});
  }
}

void PromptSide::cancel(StreamId stream) { workers_.cancel(static_cast<PromptWorkers::Id>(stream)); }

PromptTask::PromptTask(const PromptBuilder& builder, Inbox& inbox, EngineStats& stats,
                       std::shared_ptr<StreamControl> control, RequestSpec request)
    : builder_(builder), inbox_(inbox), stats_(stats), control_(std::move(control)), request_(std::move(request)) {}

void PromptTask::run() {
  if (control_->cancelled) return;
  failure_ = failure_of("the prompt could not be prepared", [this] { prepared_ = builder_.build(request_, stage_); });
}

void PromptTask::finished() {
  if (failure_) {
    reject(failure_->code(), failure_->what());
    return;
  }
  hand_on(SubmitCommand{{std::move(control_), std::move(prepared_), std::move(request_.settings)}});
}

void PromptTask::stopped(WorkStop why, uint64_t tokens) {
  const EngineError error = builder_.stopped(why, stage_, tokens);
  reject(error.code(), error.what());
}

void PromptTask::reject(std::string code, std::string message) {
  hand_on(RejectCommand{std::move(control_), std::move(code), std::move(message)});
}

void PromptTask::takes_long() {
  if (!counted_as_long_) stats_.long_prompts++;
  counted_as_long_ = true;
  inbox_.push(WakeCommand{});
}

void PromptTask::hand_on(Command command) {
  if (counted_as_long_) stats_.long_prompts--;
  inbox_.push(std::move(command));
}

ParseTask::ParseTask(Inbox& inbox, StreamId stream, ParseRequest request)
    : inbox_(inbox), stream_(stream), request_(std::move(request)) {}

WorkLimits ParseTask::limits() const {
  WorkLimits limits;
  limits.time = kParseTime;
  limits.steps = kParseSteps;
  return limits;
}

void ParseTask::run() {
  const auto failure = failure_of("the reply could not be read",
                                  [this] { reply_ = request_.parser->parse(request_.text, request_.partial); });
  if (failure) reply_ = unread();
}

void ParseTask::finished() { inbox_.push(ParsedCommand{stream_, std::move(reply_)}); }

void ParseTask::stopped(WorkStop, uint64_t) { inbox_.push(ParsedCommand{stream_, unread()}); }

TextsTask::TextsTask(const PromptBuilder& builder, Inbox& inbox, std::shared_ptr<QuestionControl> control, Question question)
    : builder_(builder), inbox_(inbox), control_(std::move(control)), question_(std::move(question)) {}

WorkLimits TextsTask::limits() const {
  WorkLimits limits;
  limits.tokens = kMostTextTokens;
  return limits;
}

void TextsTask::run() {
  failure_ = failure_of("the texts could not be prepared", [this] {
    if (const auto* embed = std::get_if<EmbedQuestion>(&question_)) texts_ = builder_.texts_of(*embed, stage_);
    if (const auto* rerank = std::get_if<RerankQuestion>(&question_)) texts_ = builder_.texts_of(*rerank, stage_);
  });
}

void TextsTask::finished() {
  if (failure_) {
    inbox_.push(RefuseCommand{std::move(control_), failure_->code(), failure_->what()});
  } else {
    inbox_.push(EmbedCommand{std::move(control_), std::move(texts_)});
  }
}

void TextsTask::stopped(WorkStop why, uint64_t tokens) {
  if (why == WorkStop::kTokens) {
    inbox_.push(RefuseCommand{
        std::move(control_), "CONTEXT_OVERFLOW",
        "the texts have more than " + std::to_string(kMostTextTokens) + " tokens together; ask for fewer at a time"});
    return;
  }
  if (why == WorkStop::kCancelled && control_->withdrawn) {
    inbox_.push(RefuseCommand{std::move(control_), "ABORTED", "nobody waits for the answer any more"});
    return;
  }
  const EngineError error = builder_.stopped(why, stage_, tokens);
  inbox_.push(RefuseCommand{std::move(control_), error.code(), error.what()});
}

QuestionTask::QuestionTask(const PromptBuilder& builder, StreamQueue& events, uint32_t number, Question question)
    : builder_(builder), events_(events), number_(number), question_(std::move(question)) {}

/** None for what the caller gives itself, who may close the model; a template may be anybody's. */
WorkLimits QuestionTask::limits() const {
  return std::holds_alternative<RenderQuestion>(question_) ? builder_.limits() : WorkLimits();
}

void QuestionTask::run() {
  failure_ = failure_of("the question could not be answered", [this] { answer_ = builder_.answer(question_, stage_); });
}

void QuestionTask::finished() {
  if (failure_) {
    events_.publish({0, AnswerErrorEvent{number_, failure_->code(), failure_->what()}});
  } else {
    events_.publish({0, AnswerEvent{number_, std::move(answer_)}});
  }
}

void QuestionTask::stopped(WorkStop why, uint64_t tokens) {
  const EngineError error = builder_.stopped(why, stage_, tokens);
  events_.publish({0, AnswerErrorEvent{number_, error.code(), error.what()}});
}

}  // namespace zse
