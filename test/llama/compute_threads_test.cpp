// Work between graphs is done once each, on all threads of the pool, whatever the number of pieces and however deep they go.
#include "llama/compute_threads.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "check.h"
#include "llama/devices.h"

using namespace zse;

namespace {

/** Bytes of stack, touched. */
int deep(int kilobytes) {
  volatile char page[1024];
  page[0] = static_cast<char>(kilobytes);
  return kilobytes == 0 ? page[0] : deep(kilobytes - 1) + page[0] * 0 + 1;
}

}  // namespace

TEST("each piece of the work between two graphs is done once, and several threads do it") {
  init_backends();
  constexpr int kThreads = 3;
  PoolWork work(start_compute_threads(kThreads), kThreads);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  for (int round = 0; round < 500; round++) {
    const int count = round % 40;
    std::vector<std::atomic<int>> done(static_cast<size_t>(count));
    work.for_each(count, [&](int i) {
      done[static_cast<size_t>(i)]++;
      if (round % 100 == 39) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const std::lock_guard<std::mutex> lock(mutex);
      threads.insert(std::this_thread::get_id());
    });
    for (const auto& times : done) CHECK(times == 1);
  }
  CHECK(threads.size() == kThreads);
}

TEST("a piece of such work has a megabyte of stack on each thread") {
  init_backends();
  PoolWork work(start_compute_threads(2), 2);
  std::atomic<int> deepest{0};
  work.for_each(16, [&](int) {
    const int reached = deep(900);
    if (reached > deepest) deepest = reached;
  });
  CHECK(deepest == 900);
}
