// Owns starting a thread with a stack of known size: what C libraries give by default ranges from 128 KB (musl) over 512 KB (macOS) to
// 8 MB, and work that is bounded by its stack (work_bound.h) must find the same everywhere. Knows nobody.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace zse {

#if defined(_WIN32)
/** A thread that must be joined before it goes. Windows gives 1 MB of stack by default. */
class Thread {
 public:
  explicit Thread(std::function<void()> work) : thread_(std::move(work)) {}
  void join() { thread_.join(); }

 private:
  std::thread thread_;
};
#else
/** A thread that must be joined before it goes. */
class Thread {
 public:
  static constexpr size_t kStack = size_t{1} << 20;

  /** Throws std::system_error where the system gives no thread. */
  explicit Thread(std::function<void()> work) {
    auto mine = std::make_unique<std::function<void()> >(std::move(work));
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStack);
    const int error = pthread_create(&thread_, &attributes, &Thread::run, mine.get());
    pthread_attr_destroy(&attributes);
    if (error != 0) throw std::system_error(error, std::generic_category(), "no thread could be made");
    mine.release();
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  void join() { pthread_join(thread_, nullptr); }

 private:
  static void* run(void* work) {
    const std::unique_ptr<std::function<void()> > mine(static_cast<std::function<void()>*>(work));
    (*mine)();
    return nullptr;
  }

  pthread_t thread_{};
};
#endif

}  // namespace zse
