// Owns the events on their way to JavaScript. The decode thread (and, for loading, the engine's) puts a whole step's news
// in under one lock; the JavaScript thread takes all there is in one call. At most one wake-up is ever under way.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "events.h"

namespace zse {

class StreamQueue {
 public:
  /** `wake` is called, outside the lock, when events come into a queue that nobody has been told of. */
  explicit StreamQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  /** Appends the events, in order. `events` is left empty, its capacity kept for the next step. */
  void publish(std::vector<Event>& events);
  void publish(Event event);

  /** Everything published since the last take; the next publish wakes again. */
  std::vector<Event> take();

 private:
  std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<Event> events_;
  bool wake_pending_ = false;
};

}  // namespace zse
