// Owns the thread that takes prefixes out of the cache to files that callers name, and in again: so that decoding waits for no disk. It is there from the
// first such question on. Any thread asks.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/thread.h"
#include "core/events.h"
#include "core/inbox.h"
#include "kv/prefix_file.h"

namespace zse {

class CachePorter {
 public:
  /** What has become of an export: a CacheAnswer's event, or an error's. On the porter's thread. */
  using Answered = std::function<void(uint32_t question, EventPayload payload)>;

  /**
   * `bounds`: of what is read in; its key is of what is written, too. Asked on the porter's thread until it does not throw, since the key takes a look at
   * the model's file. `most_bytes`: of a prefix that is read in.
   */
  CachePorter(std::function<PrefixBounds()> bounds, uint64_t most_bytes, Inbox& inbox, Answered answered);
  /** Finishes the file that it is at; the questions that wait are answered CLOSED. */
  ~CachePorter();

  /** A CacheCommand with the prefix follows, or a RefuseCommand. Throws EngineError where no thread can be had. */
  void take_in(std::shared_ptr<QuestionControl> control, CacheQuestion question);
  /** Answers the question itself. */
  void take_out(std::shared_ptr<QuestionControl> control, CacheQuestion question, CacheEntry entry,
                std::shared_ptr<const SavedPrefix> prefix);

 private:
  struct Job {
    std::shared_ptr<QuestionControl> control;
    CacheQuestion question;  // with the file's path
    CacheEntry entry;
    std::shared_ptr<const SavedPrefix> prefix;  // of an export; null: it is an import
  };
  void push(Job job);
  void run();
  void refuse(const Job& job, const std::string& code, const std::string& message);
  std::optional<CacheSecret> secret_of(const Job& job) const;
  void read(Job& job);
  void write(const Job& job);

  const std::function<PrefixBounds()> make_bounds_;
  const uint64_t most_bytes_;
  std::optional<PrefixBounds> bounds_;
  Inbox& inbox_;
  const Answered answered_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool closing_ = false;
  Thread thread_;
};

}  // namespace zse
