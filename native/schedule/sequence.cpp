#include "sequence.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "reply/chat_reply.h"
#include "reply/plain_reply.h"

namespace zse {

namespace {

// Of a drafted token, before any was tried: that it comes.
constexpr double kLookupChance = 0.7, kPredictionChance = 0.9;

std::unique_ptr<ReplyStage> make_reply(PreparedPrompt& prepared, int min_tokens) {
  std::vector<std::string> stops = prepared.stops;
  stops.insert(stops.end(), prepared.template_stops.begin(), prepared.template_stops.end());
  if (!prepared.syntax) return std::make_unique<PlainReply>(std::move(stops), min_tokens);
  return std::make_unique<ChatReply>(std::move(stops), std::move(prepared.syntax), min_tokens);
}

}  // namespace

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
      message_starts(std::move(request.prepared.message_starts)),
      settings(std::move(request.settings)),
      arrival(arrival_number),
      sampler_parts(std::move(request.prepared.sampler_parts)),
      reply(make_reply(request.prepared, settings.sampling.min_tokens)),
      logprobs(settings.sampling.logprobs ? std::make_unique<LogprobQueue>() : nullptr),
      clock(control->submitted),
      stops_(std::move(request.prepared.stops)),
      prediction_(std::move(request.prepared.prediction)),
      predicted_(!prediction_.empty()),
      draft_records_{DraftRecord(kLookupChance), DraftRecord(kPredictionChance), DraftRecord(0)} {
  standing_.waits_since = control->submitted;
}

bool Sequence::asked_to_stop_at(const std::string& text) const {
  return std::find(stops_.begin(), stops_.end(), text) != stops_.end();
}

void Sequence::prefill_replay() {
  if (settings.replay.empty()) return;
  with_replay = prompt;
  with_replay.append(settings.replay.data(), settings.replay.size());
}

void Sequence::give(int tokens) {
  ZSE_ASSERT(tokens > 0, "an item costs what it took");
  unacknowledged_ += tokens;
}

/** Readers may say more than they were given; nobody gets more credit than the mark for it. */
void Sequence::take_back(int tokens) {
  ZSE_ASSERT(unacknowledged_ >= 0, "credit is never negative");
  unacknowledged_ = std::max(0, unacknowledged_ - std::max(0, tokens));
}

void Sequence::begin_drafts(Decoder& decoder) {
  if (settings.draft_tokens > 0) {
    drafter = decoder.make_drafter(prompt, {settings.draft_tokens, settings.draft_match, std::move(prediction_)});
  }
  prediction_ = {};
}

// A step gives one token more than it keeps of a draft.
int Sequence::reply_room(int context_size) const {
  const int tokens = context_size - static_cast<int>(prompt.size()) - generated;
  return settings.max_tokens > 0 ? std::min(tokens, settings.max_tokens - generated) : tokens;
}

int Sequence::draft_room(int context_size) const {
  const int tokens = std::min(reply_room(context_size), settings.high_water_mark - unacknowledged_);
  return std::clamp(tokens - 1, 0, settings.draft_tokens);
}

void Sequence::end_draft(const Decoder& decoder) {
  draft.erase(std::find_if(draft.begin(), draft.end(), [&](Token token) { return decoder.is_end_of_generation(token); }),
              draft.end());
}

void Sequence::count_drafted(int tokens) {
  drafted += tokens;
  if (draft_source == DraftSource::kPrediction) prediction_drafted_ += tokens;
}

void Sequence::count_accepted() {
  accepted++;
  if (draft_source == DraftSource::kPrediction) prediction_accepted_++;
}

// ---- transitions -----------------------------------------------------------------------------------------------------

void Sequence::begin_prefill() {
  // One that decodes by its state, while its image is copied in, may find that the image is not sound.
  ZSE_ASSERT(state() == SequenceState::kQueued || returns() || (state() == SequenceState::kDecoding && !again.empty()),
             "only a new sequence, or one whose slot was lent, is prefilled");
  ZSE_ASSERT(slot >= 0 && !spilled, "it has a slot for that, and no image");
  standing_.state = SequenceState::kPrefilling;
}

void Sequence::begin_decode() {
  ZSE_ASSERT(prefilling() || returns(), "only after a prefill, or after its slot was lent, does it begin to decode");
  ZSE_ASSERT(slot >= 0, "it has a slot for that");
  standing_.state = SequenceState::kDecoding;
}

void Sequence::park(Clock::time_point now) {
  ZSE_ASSERT(state() == SequenceState::kDecoding && !loading && slot >= 0, "only what decodes is parked");
  ZSE_ASSERT(out_of_credit(), "only what has no credit is parked");
  parked_bytes.reset();
  clock.parked(now);
  standing_.state = SequenceState::kParked;
  standing_.parked_at = now;
  if (settings.stall_timeout_ms > 0) standing_.stall_deadline = now + std::chrono::milliseconds(settings.stall_timeout_ms);
}

void Sequence::lend(std::shared_ptr<const SavedPrefix> image, const Prompt& content, int of_prompt) {
  ZSE_ASSERT(state() == SequenceState::kParked && slot >= 0, "only a parked sequence lends its slot");
  ZSE_ASSERT(!spilled && again.empty(), "what it had is kept once");
  lent_prompt_tokens = of_prompt;
  spilled = std::move(image);
  if (!spilled) again = content;
  slot = -1;
  fetching.reset();
  standing_.state = SequenceState::kSpilled;
  standing_.returns = false;
}

void Sequence::resume(Clock::time_point now) {
  ZSE_ASSERT(paused() && !out_of_credit(), "only what pauses, and has credit again, goes on");
  clock.unparked(now);
  standing_.stall_deadline.reset();
  if (state() == SequenceState::kParked) {
    standing_.state = SequenceState::kDecoding;
  } else if (!standing_.returns) {
    standing_.returns = true;
    standing_.waits_since = now;  // that is not its reader's pause
  }
}

Usage Sequence::usage() const {
  Usage usage;
  usage.prompt_tokens = static_cast<int>(prompt.size());
  usage.completion_tokens = generated;
  usage.cached_tokens = taken_over;
  if (predicted_) {
    usage.accepted_prediction_tokens = prediction_accepted_;
    usage.rejected_prediction_tokens = prediction_drafted_ - prediction_accepted_;
  }
  return usage;
}

}  // namespace zse
