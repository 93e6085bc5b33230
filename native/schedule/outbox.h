// Owns the news of a step until all of it goes to JavaScript at once, and that a stream ends once, with its last event. Decode thread only.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "core/events.h"
#include "core/ids.h"
#include "core/stream_queue.h"

namespace zse {

class Outbox {
 public:
  /** `on_stream_end` is called once for every stream, just before its last event is published. */
  Outbox(StreamQueue& events, std::function<void(StreamId)> on_stream_end)
      : events_(events), on_stream_end_(std::move(on_stream_end)) {}

  template <class Payload>
  void put(StreamId stream, Payload payload) {
    news_.push_back({stream, std::move(payload)});
  }

  /** The stream's last event: a FinishEvent or an ErrorEvent. */
  template <class End>
  void end(StreamId stream, End last) {
    put(stream, std::move(last));
    ended_.push_back(stream);
  }

  /** For what adds to a reply by itself. */
  std::vector<Event>& news() { return news_; }

  void publish();

 private:
  bool ends_once() const;

  StreamQueue& events_;
  const std::function<void(StreamId)> on_stream_end_;
  std::vector<Event> news_;
  std::vector<StreamId> ended_;  // streams whose end is in news_
};

}  // namespace zse
