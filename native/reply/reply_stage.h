// Owns the border between a stream's tokens and what its reader gets of them: a sequence gives the bytes of each token to its stage, and the
// stage says which events come of it. Pure, so that stages are tested without a model; decode thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/events.h"
#include "core/ids.h"
#include "core/logprobs.h"
#include "core/reply_parser.h"

namespace zse {

/** Where a stage puts what it has to say about one stream: behind the news of the step. */
class ReplyEvents {
 public:
  /** `logprobs`: of the tokens that the stage is given; `drawn`: their ids, as yet untold. Null where nobody asked. */
  ReplyEvents(StreamId stream, std::vector<Event>& news, LogprobQueue* logprobs = nullptr,
              std::vector<Token>* drawn = nullptr)
      : stream_(stream), news_(news), logprobs_(logprobs), drawn_(drawn) {}

  /** `tokens`: those that the item came of, at least one. Each token is in one item, so a reader can pay for all that parks its stream. */
  template <class Item>
  void put(Item item, int tokens) {
    news_.push_back({stream_, std::move(item), tokens, logprobs_ ? logprobs_->take(tokens) : nullptr});
    if (drawn_) news_.back().drawn = std::exchange(*drawn_, {});
    items_++;
    tokens_ += tokens;
  }
  /** The reply ends here, with this stop string. */
  void stop(std::string text) { stop_ = std::move(text); }

  int items() const { return items_; }
  /** Of all items together. */
  int tokens() const { return tokens_; }
  std::optional<std::string>& stopped_by() { return stop_; }

 private:
  const StreamId stream_;
  std::vector<Event>& news_;
  LogprobQueue* const logprobs_;
  std::vector<Token>* const drawn_;
  int items_ = 0, tokens_ = 0;
  std::optional<std::string> stop_;
};

/** What is to be said of a reply when it has ended, besides its items. */
struct ReplySummary {
  bool called_tools = false;
  int reasoning_tokens = 0;
  std::string warning;  // for people; "" for none
};

class ReplyStage {
 public:
  virtual ~ReplyStage() = default;

  /** Takes what `tokens` more tokens are in bytes. Not called after it has stopped the reply. */
  virtual void add(std::string_view bytes, int tokens, ReplyEvents& out) = 0;

  /** A token without bytes comes next, of this name where it is a control token; it may end the reply. add() follows all the same. */
  virtual void control(std::string_view name, ReplyEvents& out) = 0;

  /** The reply is over: gives what was held back. `complete`: the model ended it, and no stop string or limit cut it off. */
  virtual void finish(bool complete, ReplyEvents& out) = 0;

  /** What it wants to have parsed; to be asked for after each call. The answer comes through parsed(). */
  virtual std::optional<ParseRequest> take_request() { return {}; }
  virtual void parsed(ParsedReply, ReplyEvents&) {}
  /** After finish(): there are items to come that wait for an answer. */
  virtual bool waits() const { return false; }

  virtual ReplySummary summary() const { return {}; }
};

}  // namespace zse
