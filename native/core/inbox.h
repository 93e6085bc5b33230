// Owns the commands on their way to the decode thread: any thread puts them in without waiting for the scheduler, the
// decode thread takes them all at the start of a step, and sleeps here when it has nothing to compute.
#pragma once

#include <atomic>
#include <climits>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "ids.h"
#include "request.h"

namespace zse {

struct SavedPrefix;

/** A request whose prompt is tokenized and known to fit. */
struct PreparedRequest {
  std::shared_ptr<StreamControl> control;
  PreparedPrompt prepared;
  StreamSettings settings;
};

struct SubmitCommand {
  PreparedRequest request;
};
struct RejectCommand {  // the prompt could not be prepared
  std::shared_ptr<StreamControl> control;
  std::string code, message;
};
struct CancelCommand {
  StreamId stream;
};
struct AckCommand {
  StreamId stream;
  int tokens;
};
struct EndReasoningCommand {
  StreamId stream;
};
/** What came of a ParseRequest. */
struct ParsedCommand {
  StreamId stream;
  ParsedReply reply;
};
/** The texts of a question are tokenized, and each of them fits. */
struct EmbedCommand {
  std::shared_ptr<QuestionControl> control;
  PreparedTexts texts;
};
struct RefuseCommand {  // they could not be prepared
  std::shared_ptr<QuestionControl> control;
  std::string code, message;
};
/** Nothing of it has to be prepared, or the file of an import has been read. */
struct CacheCommand {
  std::shared_ptr<QuestionControl> control;
  CacheQuestion question;
  std::shared_ptr<const SavedPrefix> imported;
};
struct WithdrawCommand {
  uint32_t question;
};
struct WakeCommand {};  // something that the scheduler looks for by itself has happened
using Command = std::variant<SubmitCommand, RejectCommand, CancelCommand, AckCommand, EndReasoningCommand, ParsedCommand,
                             EmbedCommand, CacheCommand, RefuseCommand, WithdrawCommand, WakeCommand>;

class Inbox {
 public:
  void push(Command command);

  /** Asks the scheduler to end every stream and return. Commands pushed later are still taken by the last take(). */
  void close();
  bool closing() const { return closing_.load(std::memory_order_acquire); }

  std::vector<Command> take();

  /** Tokens of the shortest prompt that waits here and whose reply is wanted; INT_MAX: there is none. Decode thread, in the middle of a step too. */
  int shortest_prompt() const { return shortest_prompt_.load(std::memory_order_relaxed); }

  /** Sleeps until there is a command, close() was called, or the deadline has passed. */
  void wait(std::optional<Clock::time_point> deadline);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Command> commands_;
  std::atomic<bool> closing_{false};
  std::atomic<int> shortest_prompt_{INT_MAX};
};

}  // namespace zse
