#include "prompt_workers.h"

#include <algorithm>
#include <system_error>

#include "base/start_thread.h"

namespace zse {

namespace {

// One in so many turns goes to who has waited longest, so that a flood of short prompts does not hold up a long one for ever.
constexpr uint64_t kTurnOfTheOldest = 8;
constexpr std::chrono::milliseconds kKeptAtLeast{4};
// What takes longer is not waited for by others that came with it. A short one may have lost its processor for one or two.
constexpr int kLongQuanta = 3;

}  // namespace

/** The bound of one task's work: it looks around for the workers. */
class PromptWorkers::Bound : public WorkBound {
 public:
  Bound(PromptWorkers& workers, Worker& worker, WorkLimits limits) : WorkBound(limits), workers_(workers), worker_(worker) {}
  using WorkBound::paused;
  using WorkBound::resumed;

 private:
  void look_around() override { workers_.look_around(worker_); }

  PromptWorkers& workers_;
  Worker& worker_;
};

struct PromptWorkers::Worker {
  Thread thread;
  std::condition_variable turn;
  Job job;
  bool busy = false;  // has a job
  bool takes_long = false;
  bool paused = false;  // has begun it and waits
  bool cancelled = false;
  Bound* bound = nullptr;  // while the work runs
  Nanoseconds spent{0};    // of a paused one, in all
  Nanoseconds attempt{0};  // of that, since it was begun the last time
  Clock::time_point waits_since, turn_began;
  int64_t held = 0;  // bytes told of so far
};

PromptWorkers::PromptWorkers() : PromptWorkers(Options{}) {}
PromptWorkers::PromptWorkers(Options options)
    : options_{options.quantum, std::max<size_t>(2, options.threads), options.memory} {}

PromptWorkers::~PromptWorkers() {
  close();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
    for (Worker& worker : workers_) worker.turn.notify_all();
  }
  for (Worker& worker : workers_) worker.thread.join();
}

// ---- any thread ------------------------------------------------------------------------------------------------------

void PromptWorkers::submit(Id id, std::unique_ptr<Task> task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!closed_) {
      Job job;
      job.id = id;
      job.task = std::move(task);
      job.waits_since = Clock::now();
      enqueue(std::move(job));
      dispatch();
      if (!workers_.empty()) return;
      const auto at = queue_.find(queued_.at(id));
      dequeue(at);
      throw no_threads("preparing a prompt");
    }
  }
  task->stopped(WorkStop::kCancelled, 0);
}

void PromptWorkers::cancel(Id id) {
  Job job;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto queued = queued_.find(id);
    if (queued != queued_.end()) {
      job = dequeue(queue_.find(queued->second));
    } else {
      for (Worker& worker : workers_) {
        if (worker.busy && worker.job.id == id) stop(worker, WorkStop::kCancelled);
      }
    }
  }
  if (job.task) job.task->stopped(WorkStop::kCancelled, 0);
}

void PromptWorkers::close() {
  std::map<Key, Job> left;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    left.swap(queue_);
    queued_.clear();
    others_wait_ = false;
    for (Worker& worker : workers_) {
      if (worker.busy) stop(worker, WorkStop::kCancelled);
    }
  }
  for (auto& [key, job] : left) job.task->stopped(WorkStop::kCancelled, 0);
}

// ---- a worker's thread -----------------------------------------------------------------------------------------------

void PromptWorkers::run(Worker& worker) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    worker.turn.wait(lock, [&] { return worker.busy || ended_; });
    if (!worker.busy) return;
    lock.unlock();
    work_on(worker);
    lock.lock();
    worker.busy = false;
    running_--;
    idle_.push_back(&worker);
    dispatch();
  }
}

void PromptWorkers::work_on(Worker& worker) {
  Job job;
  WorkLimits limits;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    limits = worker.job.task->limits();
    if (limits.time.count() != 0) limits.time = std::max(Nanoseconds(1), limits.time - worker.job.spent);
  }
  Bound bound(*this, worker, limits);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    worker.bound = &bound;
    worker.takes_long = false;
    worker.turn_began = Clock::now();
    if (worker.cancelled) bound.stop(WorkStop::kCancelled);
  }
  try {
    const WorkBound::Scope scope(bound);
    if (bound.stopped() == WorkStop::kNone) worker.job.task->run();
  } catch (const WorkStopped&) {  // said by the bound
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    worker.bound = nullptr;
    held_ -= worker.held;
    worker.held = 0;
    job = std::move(worker.job);
    if (bound.stopped() == WorkStop::kEvicted && !closed_ && !worker.cancelled) {
      job.spent += bound.spent();
      job.kept = std::max<Nanoseconds>(2 * bound.spent(), kKeptAtLeast);
      job.waits_since = Clock::now();
      enqueue(std::move(job));
      return;
    }
  }
  const WorkStop why = bound.stopped() == WorkStop::kEvicted ? WorkStop::kCancelled : bound.stopped();
  if (why == WorkStop::kNone) {
    job.task->finished();
  } else {
    job.task->stopped(why, bound.token_count());
  }
}

void PromptWorkers::look_around(Worker& worker) {
  const int64_t held = worker.bound->held();
  if (held != worker.held) {
    const int64_t all = held_ += held - worker.held;
    std::unique_lock<std::mutex> lock(mutex_);
    worker.held = held;
    lock.unlock();
    if (all > options_.memory) bound_memory();
  }
  if (!worker.takes_long && worker.bound->spent() >= kLongQuanta * options_.quantum) {
    worker.takes_long = true;
    worker.job.task->takes_long();
  }
  if (!others_wait_ || Clock::now() - worker.turn_began < options_.quantum) return;
  std::unique_lock<std::mutex> lock(mutex_);
  if (closed_ || worker.cancelled) return;  // it is told by its bound
  if (!should_give_way(worker)) {
    worker.turn_began = Clock::now();
    return;
  }
  worker.bound->paused();
  worker.attempt = worker.bound->spent();
  worker.spent = worker.job.spent + worker.attempt;
  worker.waits_since = Clock::now();
  worker.paused = true;
  paused_.push_back(&worker);
  running_--;
  dispatch();
  worker.turn.wait(lock, [&] { return !worker.paused; });
  worker.turn_began = Clock::now();
  worker.bound->resumed();
}

/** All together hold too much: the largest ends, and the others go on. */
void PromptWorkers::bound_memory() {
  std::lock_guard<std::mutex> lock(mutex_);
  Worker* largest = nullptr;
  for (Worker& worker : workers_) {
    if (worker.bound && (!largest || worker.held > largest->held)) largest = &worker;
  }
  if (largest) stop(*largest, WorkStop::kMemory);
}

// ---- under the lock --------------------------------------------------------------------------------------------------

void PromptWorkers::enqueue(Job job) {
  const Key key{job.spent, ++arrivals_};
  queued_[job.id] = key;
  queue_.emplace(key, std::move(job));
  others_wait_ = true;
}

PromptWorkers::Job PromptWorkers::dequeue(std::map<Key, Job>::iterator at) {
  Job job = std::move(at->second);
  queued_.erase(job.id);
  queue_.erase(at);
  others_wait_ = !queue_.empty() || !paused_.empty();
  return job;
}

/** Gives the turn to somebody, if nobody has it: to who has had least, now and then to who has waited longest. */
void PromptWorkers::dispatch() {
  if (closed_ || running_ > 0 || (queue_.empty() && paused_.empty())) return;
  const bool oldest = ++turns_ % kTurnOfTheOldest == 0;
  Worker* paused = best_paused(oldest);
  if (queue_.empty()) {
    resume(*paused);
    return;
  }
  const auto next = queue_.begin();
  const Job& job = next->second;
  const bool take_paused = paused && (oldest ? paused->waits_since < job.waits_since : paused->spent <= job.spent);
  const bool may_begin = job.kept.count() == 0 || may_begin_anew();
  Worker* free = may_begin && !take_paused ? free_worker() : nullptr;
  Worker* evicted = may_begin && !take_paused && !free ? to_evict(job.spent) : nullptr;
  if (free) {
    begin(*free, dequeue(next));
  } else if (evicted) {
    stop(*evicted, WorkStop::kEvicted);  // its worker takes the new one when it has unwound
  } else if (paused) {
    resume(*paused);
  }
}

/** A thread is left to prompts that were never begun: those can always be evicted for the next of their kind. */
bool PromptWorkers::may_begin_anew() const {
  const auto begun_anew = std::count_if(workers_.begin(), workers_.end(),
                                        [](const Worker& worker) { return worker.busy && worker.job.kept.count() != 0; });
  return static_cast<size_t>(begun_anew) + 1 < options_.threads;
}

/** Who has had most, and more than this; not who was begun anew and has not yet run for as long as it is kept. */
PromptWorkers::Worker* PromptWorkers::to_evict(Nanoseconds spent) const {
  Worker* most = nullptr;
  for (Worker* worker : paused_) {
    if (worker->attempt < worker->job.kept || worker->spent <= spent) continue;
    if (!most || worker->spent > most->spent) most = worker;
  }
  return most;
}

bool PromptWorkers::should_give_way(const Worker& worker) const {
  const Nanoseconds spent = worker.job.spent + worker.bound->spent();
  if (!queue_.empty() && queue_.begin()->second.spent < spent) return true;
  return std::any_of(paused_.begin(), paused_.end(), [&](const Worker* other) { return other->spent < spent; });
}

PromptWorkers::Worker* PromptWorkers::best_paused(bool longest_waiting) const {
  const auto best = std::min_element(paused_.begin(), paused_.end(), [&](const Worker* a, const Worker* b) {
    return longest_waiting ? a->waits_since < b->waits_since : a->spent < b->spent;
  });
  return best == paused_.end() ? nullptr : *best;
}

PromptWorkers::Worker* PromptWorkers::free_worker() {
  if (!idle_.empty()) {
    Worker* worker = idle_.back();
    idle_.pop_back();
    return worker;
  }
  if (workers_.size() >= options_.threads) return nullptr;
  Worker& worker = workers_.emplace_back();
  try {
    worker.thread = Thread([this, &worker] { run(worker); });
    return &worker;
  } catch (const std::system_error&) {
    workers_.pop_back();  // those that there are will do
    return nullptr;
  }
}

void PromptWorkers::begin(Worker& worker, Job job) {
  worker.job = std::move(job);
  worker.cancelled = false;
  worker.busy = true;
  running_++;
  worker.turn.notify_all();
}

void PromptWorkers::resume(Worker& worker) {
  paused_.erase(std::find(paused_.begin(), paused_.end(), &worker));
  worker.paused = false;
  running_++;
  others_wait_ = !queue_.empty() || !paused_.empty();
  worker.turn.notify_all();
}

/** What is stopped need not wait for its turn: it has nothing to do but to unwind. */
void PromptWorkers::stop(Worker& worker, WorkStop why) {
  if (why == WorkStop::kCancelled) worker.cancelled = true;
  if (worker.bound) worker.bound->stop(why);
  if (worker.paused) resume(worker);
}

}  // namespace zse
