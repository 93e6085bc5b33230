// Owns how much one piece of work on foreign input may take: time, steps, memory, stack, and how many tokens may come of it.
// The work itself calls work_step() and its siblings; so do the patched places of llama.cpp (vendor/patches). Without a bound
// on the thread they cost a branch. Knows nobody. A bound belongs to the thread that works under it; only stop() may come
// from another.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace zse {

/** What ended a piece of work before it was done. */
enum class WorkStop : int {
  kNone,
  kCancelled,  // nobody wants the result any more
  kEvicted,    // others need the thread; the work may be begun anew
  kTime,
  kSteps,
  kMemory,
  kStack,
  kTokens,  // more tokens came of it than there is room for
};

/** Thrown out of the work. Not a std::exception, so that nothing between it and the owner of the bound takes it for its own. */
struct WorkStopped {
  WorkStop why;
};

/** Bounds of one piece of work; 0 means none. */
struct WorkLimits {
  std::chrono::nanoseconds time{0};  // that it runs, pauses not counted
  uint64_t steps = 0;                // in units of work_step()
  uint64_t memory = 0;               // bytes held at once, as told by work_hold()
  uint64_t tokens = 0;               // as told by work_tokens()
  size_t stack = size_t{192} << 10;  // bytes below the frame that made the bound: macOS gives a thread 512 KB in all
};

#if defined(_MSC_VER)
extern "C" void* _AddressOfReturnAddress(void);
#pragma intrinsic(_AddressOfReturnAddress)
inline uintptr_t stack_address() { return reinterpret_cast<uintptr_t>(_AddressOfReturnAddress()); }
#else
inline __attribute__((always_inline)) uintptr_t stack_address() {
  return reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
}
#endif

class WorkBound {
 public:
  using Clock = std::chrono::steady_clock;

  explicit WorkBound(WorkLimits limits) : limits_(limits), top_(stack_address()), resumed_(Clock::now()) {}
  virtual ~WorkBound() = default;
  WorkBound(const WorkBound&) = delete;
  WorkBound& operator=(const WorkBound&) = delete;

  /** Makes a bound the thread's own while it lives. */
  class Scope {
   public:
    explicit Scope(WorkBound& bound) : before_(current_) { current_ = &bound; }
    ~Scope() { current_ = before_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    WorkBound* before_;
  };

  static WorkBound* current() { return current_; }

  /** Any thread: the work ends at its next step. The first reason stays. */
  void stop(WorkStop why) {
    int none = static_cast<int>(WorkStop::kNone);
    stop_.compare_exchange_strong(none, static_cast<int>(why));
  }

  /** Why the work was stopped, if it was. Sticky: a handler on the way that swallows the exception changes nothing. */
  WorkStop stopped() const { return static_cast<WorkStop>(stop_.load(std::memory_order_relaxed)); }

  void step(uint32_t cost) {
    fuel_ -= cost;
    if (fuel_ <= 0 || stopped() != WorkStop::kNone) refuel();
    check_stack();
  }

  void hold(int64_t bytes) {
    held_ += bytes;
    fuel_ -= static_cast<int32_t>(bytes >> 12);  // making it takes time as well
    if (limits_.memory != 0 && held_ > static_cast<int64_t>(limits_.memory) && bytes > 0) fail(WorkStop::kMemory);
  }

  /** Gives bytes back; never throws, as it is called by destructors. */
  void release(int64_t bytes) noexcept { held_ -= bytes; }

  /** Refuses to begin what would hold this much at once. */
  void will_hold(uint64_t bytes) {
    const uint64_t held = held_ > 0 ? static_cast<uint64_t>(held_) : 0;
    if (limits_.memory != 0 && bytes > limits_.memory - std::min(held, limits_.memory)) fail(WorkStop::kMemory);
  }

  void tokens(uint64_t at_least) {
    tokens_ = at_least;
    if (limits_.tokens != 0 && at_least >= limits_.tokens) fail(WorkStop::kTokens);
  }

  /** A step of what must not throw: true when the work is over, and its result does not matter any more. */
  bool over() noexcept {
    try {
      step(1);
      return false;
    } catch (const WorkStopped&) {
      return true;
    }
  }

  /** Tokens that had come of it when it was stopped. */
  uint64_t token_count() const { return tokens_; }
  int64_t held() const { return held_; }
  /** Time that it has run, pauses not counted. */
  std::chrono::nanoseconds spent() const { return at_rest_ ? spent_ : spent_ + (Clock::now() - resumed_); }

 protected:
  /** Every few tens of microseconds of work: the place to look at flags, and to let others go first. */
  virtual void look_around() {}

  /** Time between these two is not the work's. */
  void paused() {
    spent_ = spent();
    at_rest_ = true;
  }
  void resumed() {
    resumed_ = Clock::now();
    at_rest_ = false;
  }

 private:
  static constexpr int32_t kFuel = 256;

  [[noreturn]] void fail(WorkStop why) {
    stop(why);
    throw WorkStopped{stopped()};
  }

  size_t used_stack() const {
    const uintptr_t here = stack_address();
    return here < top_ ? top_ - here : 0;
  }

  void check_stack() {
    if (used_stack() > limits_.stack) fail(WorkStop::kStack);
  }

  void refuel() {
    if (fuel_ <= 0) {
      steps_ += static_cast<uint64_t>(kFuel - fuel_);
      fuel_ = kFuel;
      if (limits_.steps != 0 && steps_ > limits_.steps) stop(WorkStop::kSteps);
      if (limits_.time.count() != 0 && spent() > limits_.time) stop(WorkStop::kTime);
      look_around();
    }
    if (stopped() != WorkStop::kNone) throw WorkStopped{stopped()};
  }

  static inline thread_local WorkBound* current_ = nullptr;

  const WorkLimits limits_;
  const uintptr_t top_;
  std::atomic<int> stop_{static_cast<int>(WorkStop::kNone)};
  int32_t fuel_ = kFuel;
  uint64_t steps_ = 0, tokens_ = 0;
  int64_t held_ = 0;
  std::chrono::nanoseconds spent_{0};
  Clock::time_point resumed_;
  bool at_rest_ = false;
};

/** `cost` units of work were done or are about to be: one is some hundred nanoseconds. Throws WorkStopped. */
inline void work_step(uint32_t cost = 1) {
  if (WorkBound* bound = WorkBound::current()) bound->step(cost);
}

/** At least this many tokens will come of the text under work. Throws WorkStopped. */
inline void work_tokens(uint64_t at_least) {
  if (WorkBound* bound = WorkBound::current()) bound->tokens(at_least);
}

/** Refuses an allocation that is larger than all that may be held. Throws WorkStopped. */
inline void work_will_hold(uint64_t bytes) {
  if (WorkBound* bound = WorkBound::current()) bound->will_hold(bytes);
}

/** See WorkBound::over(). */
inline bool work_over() noexcept {
  WorkBound* bound = WorkBound::current();
  return bound && bound->over();
}

/** Bytes that an object holds, counted while it lives. Must die under the bound under which it was made, or under none. */
class WorkHeld {
 public:
  WorkHeld() = default;
  explicit WorkHeld(size_t bytes) { set(bytes); }
  WorkHeld(const WorkHeld& other) { set(other.bytes_); }
  WorkHeld(WorkHeld&& other) noexcept : bytes_(other.bytes_) { other.bytes_ = 0; }
  WorkHeld& operator=(const WorkHeld& other) {
    set(other.bytes_);
    return *this;
  }
  WorkHeld& operator=(WorkHeld&& other) noexcept {
    if (this != &other) {
      give_back();
      bytes_ = other.bytes_;
      other.bytes_ = 0;
    }
    return *this;
  }
  ~WorkHeld() { give_back(); }

  void set(size_t bytes) {
    give_back();
    bytes_ = 0;
    add(bytes);
  }

  void add(size_t bytes) {
    if (WorkBound* bound = WorkBound::current()) {
      bytes_ += bytes;  // first: it is given back also when it was too much
      bound->hold(static_cast<int64_t>(bytes));
    }
  }

 private:
  void give_back() noexcept {
    if (bytes_ == 0) return;
    if (WorkBound* bound = WorkBound::current()) bound->release(static_cast<int64_t>(bytes_));
  }
  size_t bytes_ = 0;
};

}  // namespace zse
