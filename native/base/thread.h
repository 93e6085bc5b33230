// Owns starting a thread with a stack of known size: what C libraries give by default ranges from 128 KB (musl) over 512 KB (macOS) to
// 8 MB, and work that is bounded by its stack (work_bound.h) must find the same everywhere. Knows nobody.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>

#if defined(_WIN32)
#include <thread>
#else
#include <pthread.h>
#endif

namespace zse {

/** A thread, or none yet. One that runs must be joined before it goes. */
class Thread {
 public:
  /** Bytes of stack. They are addresses: memory is taken only as far as it is touched. */
  static constexpr size_t kStack = size_t{1} << 20;

  Thread() = default;
  /** Throws std::system_error where the system gives no thread. */
  explicit Thread(std::function<void()> work, size_t stack = kStack) { start(std::move(work), stack); }
  Thread(Thread&& other) noexcept : thread_(std::exchange(other.thread_, {})), runs_(std::exchange(other.runs_, false)) {}
  Thread& operator=(Thread&& other) noexcept {
    std::swap(thread_, other.thread_);
    std::swap(runs_, other.runs_);
    return *this;
  }

  bool joinable() const { return runs_; }

#if defined(_WIN32)
  void join() {
    thread_.join();
    runs_ = false;
  }

 private:
  // Windows gives each thread as much stack as the program asks for, 1 MB by default; node asks for more.
  void start(std::function<void()> work, size_t) {
    thread_ = std::thread(std::move(work));
    runs_ = true;
  }

  std::thread thread_;
#else
  void join() {
    pthread_join(thread_, nullptr);
    runs_ = false;
  }

 private:
  void start(std::function<void()> work, size_t stack) {
    auto mine = std::make_unique<std::function<void()> >(std::move(work));
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack);
    const int error = pthread_create(&thread_, &attributes, &Thread::run, mine.get());
    pthread_attr_destroy(&attributes);
    if (error != 0) throw std::system_error(error, std::generic_category(), "no thread could be made");
    mine.release();
    runs_ = true;
  }

  static void* run(void* work) {
    const std::unique_ptr<std::function<void()> > mine(static_cast<std::function<void()>*>(work));
    (*mine)();
    return nullptr;
  }

  pthread_t thread_{};
#endif
  bool runs_ = false;
};

}  // namespace zse
