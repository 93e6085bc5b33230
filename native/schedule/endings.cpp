#include "endings.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "reply/text_assembler.h"

namespace zse {

void have_parsed(StreamId stream, ReplyStage& reply, const Parse& parse) {
  if (std::optional<ParseRequest> request = reply.take_request()) parse(stream, std::move(*request));
}

Endings::Ending Endings::of(Sequence& sequence, FinishReason reason) const {
  FinishEvent event;
  event.reason = reason;
  event.seed = sequence.settings.sampling.seed;
  event.usage = sequence.usage();
  event.timings = sequence.clock.timings(Clock::now());
  event.timings.drafted_tokens = sequence.drafted;
  event.timings.accepted_tokens = sequence.accepted;
  event.timings.prefix = sequence.prefix;
  if (sequence.prefix) event.timings.prefix->text = text_at_break(sequence);
  auto drawn = sequence.settings.tell_tokens ? std::make_unique<std::vector<Token>>(std::move(sequence.drawn)) : nullptr;
  return {sequence.id(),    std::move(sequence.reply), std::move(sequence.logprobs),
          std::move(drawn), std::move(event),          sequence.control->submitted};
}

/** What the prompt goes on with where something else was known, or what was known is gone: what a person would look for. */
std::string Endings::text_at_break(const Sequence& sequence) const {
  constexpr int kTokens = 8;
  const PrefixEnd reason = sequence.prefix->reason;
  if (reason == PrefixEnd::kWhole || reason == PrefixEnd::kShort || reason == PrefixEnd::kOff || reason == PrefixEnd::kNew)
    return "";
  const int at = sequence.prefix->at, end = std::min(static_cast<int>(sequence.prompt.size()), at + kTokens);
  const auto append = [&](int from, int to, std::string& text) {
    for (int i = from; i < to; i++) decoder_.append_name(sequence.prompt[static_cast<size_t>(i)], text);
  };
  std::string text;
  append(std::max(0, at - 3), at, text);
  text.erase(0, complete_utf8_prefix(text));  // what is left is of a character that the break is in the middle of
  append(at, end, text);
  text.resize(complete_utf8_prefix(text));
  return text;
}

void Endings::end(Ending ending) {
  const ReplySummary summary = ending.reply->summary();
  FinishEvent& event = ending.event;
  if (event.reason == FinishReason::kStop && summary.called_tools) event.reason = FinishReason::kToolCalls;
  event.usage.reasoning_tokens = summary.reasoning_tokens;
  event.warning = summary.warning;
  outbox_.end(ending.stream, std::move(event));
}

void Endings::end_when_parsed(Ending ending) {
  have_parsed(ending.stream, *ending.reply, parse_);
  if (!ending.reply->waits()) return end(std::move(ending));
  const StreamId stream = ending.stream;
  waiting_[stream] = std::move(ending);
}

void Endings::parsed(StreamId stream, ParsedReply answer) {
  const auto at = waiting_.find(stream);
  if (at == waiting_.end()) return;  // cancelled meanwhile
  Ending& ending = at->second;
  ReplyEvents events(stream, outbox_.news(), ending.logprobs.get(), ending.drawn.get());
  ending.reply->parsed(std::move(answer), events);
  std::optional<double>& first = ending.event.timings.ttft_ms;
  if (!first && events.items() > 0) first = milliseconds(Clock::now() - ending.submitted);
  have_parsed(stream, *ending.reply, parse_);
  if (ending.reply->waits()) return;
  end(std::move(ending));
  waiting_.erase(at);
}

void Endings::cancel(StreamId stream) {
  const auto at = waiting_.find(stream);
  if (at == waiting_.end()) return;
  at->second.event.reason = FinishReason::kCancelled;
  end(std::move(at->second));
  waiting_.erase(at);
}

void Endings::end_all() {
  for (auto& [stream, ending] : std::exchange(waiting_, {})) end(std::move(ending));
}

void Endings::fail_all(const std::string& code, const std::string& message) {
  for (const auto& [stream, ending] : std::exchange(waiting_, {})) outbox_.end(stream, ErrorEvent{code, message});
}

}  // namespace zse
