#include "stream_queue.h"

#include <iterator>
#include <utility>

namespace zse {

void StreamQueue::publish(std::vector<Event>& events) {
  if (events.empty()) return;
  bool wake = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (events_.empty()) {
      events_.swap(events);
    } else {
      events_.insert(events_.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
    }
    wake = !std::exchange(wake_pending_, true);
  }
  events.clear();
  if (wake) wake_();
}

void StreamQueue::publish(Event event) {
  std::vector<Event> events;
  events.push_back(std::move(event));
  publish(events);
}

std::vector<Event> StreamQueue::take() {
  std::lock_guard<std::mutex> lock(mutex_);
  wake_pending_ = false;
  return std::exchange(events_, {});
}

}  // namespace zse
