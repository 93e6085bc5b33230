// Owns what a stream's last event says, and the replies that are over while their stage waits for something to be parsed. Their sequences are gone and
// their slots free. Decode thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/decoder.h"
#include "core/events.h"
#include "core/ids.h"
#include "core/logprobs.h"
#include "core/reply_parser.h"
#include "outbox.h"
#include "reply/reply_stage.h"
#include "sequence.h"

namespace zse {

/** Has a text of the stream's reply parsed; a ParsedCommand answers it. */
using Parse = std::function<void(StreamId, ParseRequest)>;

/** Has parsed what the stage wants parsed, if anything. */
void have_parsed(StreamId stream, ReplyStage& reply, const Parse& parse);

class Endings {
 public:
  /** What a stream's last event is made of. */
  struct Ending {
    StreamId stream;
    std::unique_ptr<ReplyStage> reply;
    std::unique_ptr<LogprobQueue> logprobs;
    std::unique_ptr<std::vector<Token>> drawn;
    FinishEvent event;
    Clock::time_point submitted;
  };

  Endings(Decoder& decoder, Outbox& outbox, const Parse& parse) : decoder_(decoder), outbox_(outbox), parse_(parse) {}

  /** Takes it out of a sequence, which is of no use afterwards. */
  Ending of(Sequence& sequence, FinishReason reason) const;

  /** The stream ends at once. */
  void end(Ending ending);
  /** It ends as soon as its stage waits for nothing. */
  void end_when_parsed(Ending ending);

  /** An answer for one that waits for it; for others nothing happens. */
  void parsed(StreamId stream, ParsedReply answer);
  /** It waits no longer, if it is one of these. */
  void cancel(StreamId stream);

  /** All end with what they have. */
  void end_all();
  void fail_all(const std::string& code, const std::string& message);

 private:
  std::string text_at_break(const Sequence& sequence) const;

  Decoder& decoder_;
  Outbox& outbox_;
  const Parse& parse_;
  std::map<StreamId, Ending> waiting_;
};

}  // namespace zse
