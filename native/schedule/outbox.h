// Owns the news of a step until all of it goes to JavaScript at once, and that a stream ends once, with its last event. Decode thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "core/events.h"
#include "core/ids.h"
#include "core/stream_queue.h"

namespace zse {

class Outbox {
 public:
  /** Called just before the last event of a stream is published, and the answer to a question: once for each. */
  struct Ends {
    std::function<void(StreamId)> stream;
    std::function<void(uint32_t)> question;
  };
  Outbox(StreamQueue& events, Ends on_end) : events_(events), on_end_(std::move(on_end)) {}

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

  /** The one answer to a question: an AnswerEvent or an AnswerErrorEvent. */
  template <class Last>
  void answer(Last last) {
    answered_.push_back(last.question);
    put(0, std::move(last));
  }

  /** For what adds to a reply by itself. */
  std::vector<Event>& news() { return news_; }

  void publish();

 private:
  bool ends_once() const;

  StreamQueue& events_;
  const Ends on_end_;
  std::vector<Event> news_;
  std::vector<StreamId> ended_;     // streams whose end is in news_
  std::vector<uint32_t> answered_;  // questions whose answer is
};

}  // namespace zse
