// Owns one open model's threads and their life: the decode thread (loads the model, runs the scheduler, frees everything) and
// the prompt workers (templates and tokenizing, so that neither JavaScript nor the decode loop waits for a long prompt).
// The public calls come from the JavaScript thread and never wait for either; only the destructor does.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "base/thread.h"
#include "core/events.h"
#include "core/ids.h"
#include "core/inbox.h"
#include "core/options.h"
#include "core/request.h"
#include "core/stats.h"
#include "core/stream_queue.h"

namespace zse {

class CachePorter;
class Model;
class PromptSide;

class Engine {
 public:
  /** Starts loading at once. `wake` is called, on any thread, when take_events() has something new. */
  Engine(std::string path, EngineOptions options, std::function<void()> wake);

  /** Closes and waits for the threads: at most for one node of a compute graph or one step of a prompt's work. */
  ~Engine();

  /** Queues a request under an id of its own. Throws EngineError CLOSED, or ENGINE_FAILED where no thread can be had. */
  void submit(StreamId id, RequestSpec request);

  /** The turn of the event loop in which something was submitted is over: the decode thread need not wait for more of it. */
  void end_turn();
  void ack(StreamId stream, int tokens);
  void cancel(StreamId stream);

  /** Closes the thought that a stream is in, if it is in one; before its first token, the one that it begins with. */
  void end_reasoning(StreamId stream);

  /** Begins to close; a Closed event says when it is done. */
  void close();

  std::vector<Event> take_events() { return events_.take(); }

  /** An AnswerEvent or AnswerErrorEvent of this number follows. Throws EngineError CLOSED. */
  void ask(uint32_t number, Question question);

  /** Nobody waits for the answer to a question: it comes as soon as it can, and may be an error. */
  void withdraw(uint32_t question);
  const EngineStats& stats() const { return stats_; }

 private:
  void run_decode_thread();
  void cancel_all();
  void stop_prompts();
  void stop_porter();
  CachePorter& porter();
  void ask_cache(std::shared_ptr<QuestionControl> control, CacheQuestion question);
  void serve(const std::shared_ptr<const Model>& model);

  const std::string path_;
  const EngineOptions options_;
  StreamQueue events_;
  Inbox inbox_;
  EngineStats stats_;
  std::atomic<bool> closing_{false};
  std::random_device random_;  // JavaScript thread

  // Guards the life cycle: what the JavaScript thread shares with the others beyond inbox and events.
  mutable std::mutex mutex_;
  std::unique_ptr<PromptSide> prompts_;                          // while requests are taken
  std::function<std::unique_ptr<CachePorter>()> make_porter_;    // while there is a cache, or empty
  std::unique_ptr<CachePorter> porter_;                          // once somebody needed it
  std::map<StreamId, std::shared_ptr<StreamControl>> controls_;  // of every stream that has not ended
  std::map<uint32_t, std::shared_ptr<QuestionControl>>
      questions_;  // of those that the decode thread answers, as long as it has not

  Thread decode_thread_;
};

}  // namespace zse
