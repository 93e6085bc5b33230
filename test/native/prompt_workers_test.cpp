// The turns of prompt workers, and the bounds on work: tasks of known length in place of templates and tokenizers.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "base/json_shape.h"
#include "base/work_bound.h"
#include "check.h"
#include "core/prompt_workers.h"

using namespace zse;

namespace {

/** Ends of tasks, and the order they came in. */
struct Ends {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::pair<uint64_t, WorkStop>> list;

  void add(uint64_t id, WorkStop why) {
    std::lock_guard<std::mutex> lock(mutex);
    list.emplace_back(id, why);
    changed.notify_all();
  }
  /** Waits until there are so many; a hang guard. */
  bool wait(size_t count) {
    std::unique_lock<std::mutex> lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(60), [&] { return list.size() >= count; });
  }
  WorkStop of(uint64_t id) {
    std::lock_guard<std::mutex> lock(mutex);
    for (const auto& [ended, why] : list) {
      if (ended == id) return why;
    }
    return WorkStop::kEvicted;  // no task ends so
  }
};

class Steps : public PromptWorkers::Task {
 public:
  Steps(Ends& ends, uint64_t id, uint64_t steps, WorkLimits limits = {}, size_t bytes = 0)
      : ends_(ends), id_(id), steps_(steps), limits_(limits), bytes_(bytes) {}
  WorkLimits limits() const override { return limits_; }
  void run() override {
    const WorkHeld held(bytes_);
    for (uint64_t i = 0; i < steps_; i++) {
      sum_ += i * id_;
      work_step();
    }
  }
  void finished() override { ends_.add(id_, WorkStop::kNone); }
  void stopped(WorkStop why, uint64_t) override { ends_.add(id_, why); }

 private:
  Ends& ends_;
  const uint64_t id_, steps_;
  const WorkLimits limits_;
  const size_t bytes_;
  volatile uint64_t sum_ = 0;
};

constexpr uint64_t kForEver = UINT64_MAX;

PromptWorkers::Options options(size_t threads, int64_t memory = int64_t{1} << 40) {
  PromptWorkers::Options value;
  value.threads = threads;
  value.memory = memory;
  return value;
}

}  // namespace

TEST("a short prompt is done while long ones run, also when those have all threads") {
  Ends ends;
  PromptWorkers workers(options(3));
  for (uint64_t id = 1; id <= 10; id++) workers.submit(id, std::make_unique<Steps>(ends, id, kForEver));
  for (uint64_t id = 100; id < 120; id++) {
    workers.submit(id, std::make_unique<Steps>(ends, id, 1000));
    REQUIRE(ends.wait(id - 99));
    CHECK(ends.of(id) == WorkStop::kNone);
  }
  workers.close();
  REQUIRE(ends.wait(30));
  for (uint64_t id = 1; id <= 10; id++) CHECK(ends.of(id) == WorkStop::kCancelled);
}

TEST("what was begun anew for want of threads is done in the end") {
  Ends ends;
  PromptWorkers::Options two = options(2);
  two.quantum = std::chrono::microseconds(50);
  PromptWorkers workers(two);
  const uint64_t count = 40;
  for (uint64_t id = 1; id <= count; id++)
    workers.submit(id, std::make_unique<Steps>(ends, id, id % 3 == 0 ? 300000 : 20000));
  REQUIRE(ends.wait(count));
  for (uint64_t id = 1; id <= count; id++) CHECK(ends.of(id) == WorkStop::kNone);
}

TEST("a prompt is cancelled while it waits, runs, or has given way, and ends once") {
  Ends ends;
  PromptWorkers workers(options(2));
  for (uint64_t id = 1; id <= 6; id++) workers.submit(id, std::make_unique<Steps>(ends, id, kForEver));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  for (uint64_t id = 6; id >= 1; id--) {
    workers.cancel(id);
    REQUIRE(ends.wait(7 - id));
    CHECK(ends.of(id) == WorkStop::kCancelled);
  }
  workers.cancel(3);
  workers.close();
  workers.submit(9, std::make_unique<Steps>(ends, 9, 1));
  REQUIRE(ends.wait(7));
  CHECK(ends.of(9) == WorkStop::kCancelled);
  CHECK_EQ(ends.list.size(), size_t{7});
}

TEST("each bound ends the work that reaches it, and says which it was") {
  Ends ends;
  PromptWorkers workers(options(4));
  WorkLimits time, steps, memory;
  time.time = std::chrono::milliseconds(5);
  steps.steps = 5000;
  memory.memory = 1000;
  workers.submit(1, std::make_unique<Steps>(ends, 1, kForEver, time));
  workers.submit(2, std::make_unique<Steps>(ends, 2, kForEver, steps));
  workers.submit(3, std::make_unique<Steps>(ends, 3, 10, memory, 2000));
  REQUIRE(ends.wait(3));
  CHECK(ends.of(1) == WorkStop::kTime);
  CHECK(ends.of(2) == WorkStop::kSteps);
  CHECK(ends.of(3) == WorkStop::kMemory);
}

TEST("when all prompts together hold too much, the largest ends and the others go on") {
  Ends ends;
  PromptWorkers workers(options(4, 10000));
  workers.submit(1, std::make_unique<Steps>(ends, 1, 2000000, WorkLimits{}, 7000));
  workers.submit(2, std::make_unique<Steps>(ends, 2, 2000000, WorkLimits{}, 2000));
  workers.submit(3, std::make_unique<Steps>(ends, 3, 2000000, WorkLimits{}, 2000));
  REQUIRE(ends.wait(3));
  CHECK(ends.of(1) == WorkStop::kMemory || ends.of(1) == WorkStop::kNone);
  CHECK(ends.of(2) == WorkStop::kNone);
  CHECK(ends.of(3) == WorkStop::kNone);
}

TEST("prompts submitted, cancelled and closed at random moments by several threads each end once") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 8; round++) {
    Ends ends;
    PromptWorkers::Options few = options(2 + random() % 4, 20000);
    few.quantum = std::chrono::microseconds(20 + random() % 200);
    std::atomic<uint64_t> ids{0};
    {
      PromptWorkers workers(few);
      std::vector<std::thread> callers;
      for (int caller = 0; caller < 3; caller++) {
        callers.emplace_back([&, seed = random()] {
          std::mt19937_64 mine(seed);
          for (int i = 0; i < 60; i++) {
            const uint64_t id = ++ids;
            WorkLimits limits;
            if (mine() % 4 == 0) limits.steps = 1 + mine() % 5000;
            const uint64_t length = mine() % 8 == 0 ? kForEver : mine() % 20000;
            workers.submit(id, std::make_unique<Steps>(ends, id, length, limits, mine() % 9000));
            if (mine() % 2 == 0) workers.cancel(1 + mine() % id);
          }
        });
      }
      for (std::thread& caller : callers) caller.join();
      if (random() % 2 == 0) workers.close();
    }
    REQUIRE(ends.wait(ids));
    std::vector<uint64_t> ended;
    for (const auto& [id, why] : ends.list) ended.push_back(id);
    std::sort(ended.begin(), ended.end());
    CHECK_EQ(ended.size(), static_cast<size_t>(ids));
    CHECK(std::adjacent_find(ended.begin(), ended.end()) == ended.end());
  }
}

TEST("a stop is sticky: who swallows it stops again at the next step") {
  WorkLimits limits;
  limits.steps = 100;
  WorkBound bound(limits);
  const WorkBound::Scope scope(bound);
  int swallowed = 0;
  for (int i = 0; i < 5000; i++) {
    try {
      work_step();
    } catch (const WorkStopped&) {
      swallowed++;
    }
  }
  CHECK(swallowed > 4000);
  CHECK(bound.stopped() == WorkStop::kSteps);
  CHECK(work_over());
}

namespace {
int descend(int depth) {
  work_step();
  volatile char frame[64] = {};
  return depth == 0 ? frame[0] : descend(depth - 1) + frame[1];
}
}  // namespace

TEST("recursion ends at the bound of the stack, and not at the stack's end") {
  WorkBound bound(WorkLimits{});
  const WorkBound::Scope scope(bound);
  bool stopped = false;
  try {
    descend(10000000);
  } catch (const WorkStopped& stop) {
    stopped = stop.why == WorkStop::kStack;
  }
  CHECK(stopped);
  CHECK(work_over());
}

TEST("what is held is given back, by copies and moves too") {
  WorkBound bound(WorkLimits{});
  const WorkBound::Scope scope(bound);
  {
    WorkHeld first(100);
    WorkHeld copy(first);
    CHECK_EQ(bound.held(), int64_t{200});
    WorkHeld moved(std::move(copy));
    CHECK_EQ(bound.held(), int64_t{200});
    moved.add(50);
    first = moved;
    CHECK_EQ(bound.held(), int64_t{300});
  }
  CHECK_EQ(bound.held(), int64_t{0});
}

TEST("the shape of JSON: depth and keys, strings and escapes left out, broken text survived") {
  CHECK_EQ(json_shape("[[1,{\"a\":[2]}]]").depth, size_t{4});
  CHECK_EQ(json_shape("\"[[[[\"").depth, size_t{0});
  CHECK_EQ(json_shape("[\"\\\"[[\", \"\\\\\"]").depth, size_t{1});
  CHECK_EQ(json_shape("]]]]").depth, size_t{0});
  CHECK_EQ(json_shape("\"never closed [[").depth, size_t{0});
  CHECK_EQ(json_shape("{\"a\":1,\"b\":2,\"c\":{\"d\":3,\"e\":4}}").key_pairs, uint64_t{0 + 1 + 2 + 0 + 1});
  CHECK_EQ(json_shape(std::string(1000000, '[')).depth, kMaxJsonDepth + 1);
}

namespace {

/** Works until it is said to take long. */
class Long : public PromptWorkers::Task {
 public:
  Long(Ends& ends, std::chrono::nanoseconds& had) : ends_(ends), had_(had) {}
  WorkLimits limits() const override { return {}; }
  void run() override {
    while (had_.count() == 0) work_step();
  }
  void takes_long() override { had_ = WorkBound::current()->spent(); }
  void finished() override { ends_.add(1, WorkStop::kNone); }
  void stopped(WorkStop why, uint64_t) override { ends_.add(1, why); }

 private:
  Ends& ends_;
  std::chrono::nanoseconds& had_;
};

}  // namespace

TEST("a short prompt that lost its processor for a turn or two is still waited for by those that came with it") {
  Ends ends;
  std::chrono::nanoseconds had{0};
  PromptWorkers::Options slow = options(2);
  slow.quantum = std::chrono::milliseconds(50);
  PromptWorkers workers(slow);
  workers.submit(1, std::make_unique<Long>(ends, had));
  REQUIRE(ends.wait(1));
  CHECK(ends.of(1) == WorkStop::kNone);
  CHECK(had > 2 * slow.quantum);
}
