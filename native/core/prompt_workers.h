// Owns the threads that prepare prompts (templates, tokenizing), and whose turn it is. One prompt runs at a time; it gives way to
// whoever has had less, so that a short one waits for a millisecond of a long one and not for its end. A prompt that has begun
// keeps its thread while it waits; where there are no more threads, the one that has had most is begun anew later, and then kept for twice
// as long. One thread at least is left to those that were never begun.
// submit(), cancel() and close() may come from any thread and never wait for a prompt.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/thread.h"
#include "base/work_bound.h"

namespace zse {

class PromptWorkers {
 public:
  using Clock = WorkBound::Clock;
  using Nanoseconds = std::chrono::nanoseconds;

  /** A piece of work that can be begun again after it was stopped. Its calls come from one thread at a time. */
  class Task {
   public:
    virtual ~Task() = default;
    virtual WorkLimits limits() const = 0;
    /** The work. Keeps its result and its failures to itself; WorkStopped goes through it. */
    virtual void run() = 0;
    /** From within run(), once it has had some quanta: nobody should wait for it any more. Once for each run(). */
    virtual void takes_long() {}
    /** After run(), when nothing stopped it. */
    virtual void finished() = 0;
    /** In place of finished(). `tokens`: how many it had come to. */
    virtual void stopped(WorkStop why, uint64_t tokens) = 0;
  };
  using Id = uint64_t;

  struct Options {
    /** How long one runs while another that has had less is waiting. */
    Nanoseconds quantum = std::chrono::milliseconds(1);
    /** Prompts that may have begun at a time; two at least. */
    size_t threads = 16;
    /** Bytes that all that have begun may hold; beyond it the largest ends. */
    int64_t memory = int64_t{256} << 20;
  };

  explicit PromptWorkers(Options options);
  PromptWorkers();
  /** Stops everything, as close(), and joins the threads: within a step of each one's work. */
  ~PromptWorkers();

  /** Throws EngineError ENGINE_FAILED where no thread can be had at all. Ids are the caller's, unique among what is open. */
  void submit(Id id, std::unique_ptr<Task> task);

  /** The task is stopped with kCancelled, unless it has ended. */
  void cancel(Id id);

  /** Every task is stopped with kCancelled; later ones at once. */
  void close();

 private:
  class Bound;
  struct Worker;

  /** What was not begun, or is to be begun anew. */
  struct Job {
    Id id = 0;
    std::unique_ptr<Task> task;
    Nanoseconds spent{0};
    Nanoseconds kept{0};  // how long it may run before it can be evicted again; not 0: it was evicted before
    Clock::time_point waits_since;
  };
  using Key = std::pair<Nanoseconds, uint64_t>;  // had so far, arrival

  void run(Worker& worker);
  void work_on(Worker& worker);
  void look_around(Worker& worker);
  void bound_memory();

  // Under the lock:
  void enqueue(Job job);
  Job dequeue(std::map<Key, Job>::iterator at);
  void dispatch();
  bool should_give_way(const Worker& worker) const;
  Worker* best_paused(bool longest_waiting) const;
  bool may_begin_anew() const;
  Worker* to_evict(Nanoseconds spent) const;
  Worker* free_worker();
  void begin(Worker& worker, Job job);
  void resume(Worker& worker);
  void stop(Worker& worker, WorkStop why);

  const Options options_;
  mutable std::mutex mutex_;
  std::map<Key, Job> queue_;
  std::unordered_map<Id, Key> queued_;
  std::list<Worker> workers_;
  std::vector<Worker*> idle_, paused_;
  size_t running_ = 0;
  uint64_t arrivals_ = 0, turns_ = 0;
  bool closed_ = false, ended_ = false;
  std::atomic<bool> others_wait_{false};  // looked at without the lock
  std::atomic<int64_t> held_{0};
};

}  // namespace zse
