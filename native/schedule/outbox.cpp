#include "outbox.h"

#include <set>
#include <type_traits>
#include <variant>

#include "base/assert.h"

namespace zse {

void Outbox::publish() {
  ZSE_ASSERT(ends_once(), "a stream ends once, and that is its last event");
  for (const StreamId stream : ended_) {
    if (on_end_.stream) on_end_.stream(stream);
  }
  for (const uint32_t question : answered_) {
    if (on_end_.question) on_end_.question(question);
  }
  ended_.clear();
  answered_.clear();
  events_.publish(news_);
}

/** For asserts: whether each end among the news is of a stream of its own that has ended, and nothing of it comes after it. */
bool Outbox::ends_once() const {
  std::vector<StreamId> ends;
  std::set<StreamId> ended;
  for (const Event& event : news_) {
    if (ended.count(event.stream) != 0) return false;
    const auto is_end = [&](const auto& payload) {
      using Payload = std::decay_t<decltype(payload)>;
      return std::is_same_v<Payload, FinishEvent> || std::is_same_v<Payload, ErrorEvent>;
    };
    if (!std::visit(is_end, event.payload)) continue;
    ends.push_back(event.stream);
    ended.insert(event.stream);
  }
  return ends == ended_;
}

}  // namespace zse
