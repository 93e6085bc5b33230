// Owns all streams of a model from submit to their one finish or error: admission to slots, the plan of each step, parking
// and waking, cancelling in every state. Runs on the decode thread; talks to others only through inbox and stream_queue.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admission.h"
#include "core/decoder.h"
#include "core/draft_model.h"
#include "core/embedder.h"
#include "core/events.h"
#include "core/ids.h"
#include "core/inbox.h"
#include "core/request.h"
#include "core/stats.h"
#include "core/stream_queue.h"
#include "drafts.h"
#include "embeddings.h"
#include "endings.h"
#include "outbox.h"
#include "sequence.h"
#include "sequences.h"
#include "step_computer.h"
#include "step_planner.h"

namespace zse {

struct SchedulerOptions {
  double latency_target_ms = 150;
  bool deterministic = false;
  int draft_tokens = 0;                                        // that one step checks, of all streams together
  Clock::duration gather_time = std::chrono::milliseconds(5);  // a first request's longest wait for others made with it
  Clock::duration lend_after = std::chrono::milliseconds(50);  // a parked stream's slot, when others wait
  size_t copied_at_once = 8 << 20;  // bytes of an image that is copied when it is needed: some 5 ms
  Clock::duration copy_time = std::chrono::milliseconds(15);  // of one step's time at most, for images of slots
};

class Scheduler {
 public:
  /** `embedder`, `draft_model`: null where nothing of the kind is there. `on_end`: see Outbox. `parse`: has a text of the stream's reply parsed; a ParsedCommand answers it. Neither waits. */
  Scheduler(Decoder& decoder, Embedder* embedder, DraftModel* draft_model, PrefixCache cache, Inbox& inbox,
            StreamQueue& events, EngineStats& stats, SchedulerOptions options, Outbox::Ends on_end = {}, Parse parse = {},
            CacheDesk::Export export_prefix = {});
  ~Scheduler();

  /** Works until the inbox is closed; then every stream gets its finish, and it returns. */
  void run();

  /** Takes commands and computes one step at most. True when there may be more to do at once. */
  bool step();

  /** Ends every stream, those still in the inbox too, with Finish{cancelled}. */
  void finish_all();

  /** Writes what ended streams leave in the KV cache to disk, as far as the prompt cache wants it. */
  void write_prefixes();

  /** How many sequences were looked at so far, steps and commands together. */
  uint64_t visited() const { return sequences_.visited(); }

  /** Ends every stream that was taken in with an error: what a failure of the whole engine comes to. */
  void fail_all(const std::string& code, const std::string& message);

 private:
  void take_commands();
  void gather_first();
  void handle(SubmitCommand command);
  void handle(RejectCommand command);
  void handle(CancelCommand command);
  void handle(AckCommand command);
  void handle(EndReasoningCommand command);
  void handle(ParsedCommand command);
  void handle(EmbedCommand command);
  void handle(CacheCommand command);
  void handle(RefuseCommand command);
  void handle(WithdrawCommand command);
  void handle(WakeCommand) {}

  void end_cancelled_and_stalled();
  void make_way();
  void end_preparing_for(const Sequence& newcomer);
  /** A piece of the texts whose vectors are wanted, where the step has room for one. `spent_ms`: what the copies before it took. */
  void embed_some(double spent_ms);
  /** `spent_ms`: what the copies before it took, and the texts. */
  bool compute_step(double spent_ms);
  void advance(const StepPlan& step);
  void tell_prompt(const Sequence& sequence, size_t index, int tokens);
  void add_computed(Sequence& sequence, const Token* tokens, int count);
  /** batch[first] and so on were computed. True when its reply's next token is due, from the last one's logits. */
  bool advance_prompt(Sequence& sequence, size_t first, int count);
  bool advance_replay(Sequence& sequence, size_t first, int before);
  void draw_next(const StepPlan& step);
  /** Takes what was drawn from batch[index], or draws it here. False: the sequence has ended, and is no more. */
  bool advance_reply(Sequence& sequence, size_t index, const Draw* drawn = nullptr);
  /** The same of a step that decodes, whose first row is batch[index]: as far as its draft is what is drawn. */
  void advance_decode(Sequence& sequence, size_t index, const Draw& drawn);
  void park_without_credit(Sequence& sequence);
  /** Where its stage puts what it has to say. */
  ReplyEvents events_of(Sequence& sequence);
  /** Its stage has put these into the news: they cost credit. */
  void charge(Sequence& sequence, const ReplyEvents& events, Clock::time_point now);
  /** Its reply is over: what its stage has held back goes out, as soon as that is known; its slot comes free at once. */
  void finish_reply(Sequence& sequence, FinishReason reason, std::optional<std::string> stop_string, Clock::time_point now);

  void finish(Sequence& sequence, FinishReason reason);
  /** `sound`: what its slot holds is known, and may be used again. */
  void fail(Sequence& sequence, std::string code, std::string message, bool sound = true);
  void remove(Sequence& sequence, bool sound);

  void publish();
  std::optional<Clock::time_point> next_deadline() const;

  Decoder& decoder_;
  Inbox& inbox_;
  EngineStats& stats_;
  const SchedulerOptions options_;
  const Clock::duration copy_time_;

  Sequences sequences_;
  Admission admission_;
  const Parse parse_;
  const CacheDesk::Export export_;

  std::vector<StreamId> preparing_;  // prompts that are computed ahead; some may have ended
  std::vector<StreamId> cancelled_;  // to be ended by this step, unless they have ended
  int64_t received_ = 0;             // requests that came through the inbox, rejected ones too
  Drafts drafts_;
  StepPlanner planner_;
  StepComputer computer_;

  Outbox outbox_;  // of the step under way
  Endings endings_;
  std::unique_ptr<Embeddings> embeddings_;  // null without an embedder
  std::vector<Draw> draws_;                 // of the step under way
  std::string piece_;
};

}  // namespace zse
