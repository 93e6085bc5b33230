#include "sequence.h"

#include <algorithm>
#include <utility>

#include "reply/plain_reply.h"

namespace zse {

void StreamClock::prefill_started(Clock::time_point now) {
  if (!prefill_at_) prefill_at_ = now;
}

void StreamClock::token_sampled(Clock::time_point now) {
  if (last_token_at_) {
    gaps_ms_.push_back(static_cast<float>(milliseconds(now - *last_token_at_ - paused_since_token_)));
  } else {
    first_token_at_ = now;
  }
  last_token_at_ = now;
  paused_since_token_ = {};
}

void StreamClock::item_emitted(Clock::time_point now) {
  if (!first_item_at_) first_item_at_ = now;
}

void StreamClock::unparked(Clock::time_point now) {
  if (!parked_at_) return;
  paused_ += now - *parked_at_;
  paused_since_token_ += now - *parked_at_;
  parked_at_.reset();
}

Timings StreamClock::timings(Clock::time_point now) const {
  Timings t;
  t.queue_ms = milliseconds((prefill_at_ ? *prefill_at_ : now) - submitted_);
  if (prefill_at_) t.prefill_ms = milliseconds((first_token_at_ ? *first_token_at_ : now) - *prefill_at_);
  if (first_item_at_) t.ttft_ms = milliseconds(*first_item_at_ - submitted_);
  t.paused_ms = milliseconds(paused_ + (parked_at_ ? now - *parked_at_ : Clock::duration{}));
  if (gaps_ms_.empty()) return t;

  std::vector<float> gaps = gaps_ms_;
  std::sort(gaps.begin(), gaps.end());
  const auto percentile = [&gaps](double p) {  // nearest rank
    return static_cast<double>(gaps[std::min(gaps.size() - 1, static_cast<size_t>(p * static_cast<double>(gaps.size())))]);
  };
  t.itl_p50_ms = percentile(0.50);
  t.itl_p99_ms = percentile(0.99);
  t.itl_max_ms = gaps.back();
  double generating_ms = 0;
  for (const float gap : gaps) generating_ms += gap;
  if (generating_ms > 0) t.tokens_per_second = 1000.0 * static_cast<double>(gaps.size()) / generating_ms;
  return t;
}

Sequence::Sequence(PreparedRequest request, uint64_t arrival_number)
    : control(std::move(request.control)),
      prompt(std::move(request.prepared.prompt)),
      settings(std::move(request.settings)),
      arrival(arrival_number),
      reply(std::make_unique<PlainReply>(std::move(request.prepared.stops))),
      clock(control->submitted) {
  standing_.waits_since = control->submitted;
}

Usage Sequence::usage() const {
  Usage usage;
  usage.prompt_tokens = static_cast<int>(prompt.size());
  usage.completion_tokens = generated;
  usage.cached_tokens = taken_over;
  return usage;
}

}  // namespace zse
