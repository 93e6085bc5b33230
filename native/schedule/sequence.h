// Owns one stream's way through the engine: its state, its place in the KV cache, its credit with the consumer, its reply
// and its clock. Decode thread only; `sequences` alone moves it from state to state.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/decoder.h"
#include "core/events.h"
#include "core/ids.h"
#include "core/inbox.h"
#include "core/logprobs.h"
#include "core/moved.h"
#include "core/prompt.h"
#include "core/request.h"
#include "kv/chunk_index.h"
#include "kv/saved_prefix.h"
#include "reply/reply_stage.h"
#include "speculation.h"

namespace zse {

/**
 * queued ─▶ prefilling ─▶ decoding ◀─▶ parked ─▶ spilled (its slot is lent) ─▶ decoding, or prefilling where no image could be kept
 * Any of them ends at once in a finish or an error; then the sequence is destroyed.
 */
enum class SequenceState { kQueued, kPrefilling, kDecoding, kParked, kSpilled };

/** When things happened to a stream, and the timings that follow from it. */
class StreamClock {
 public:
  explicit StreamClock(Clock::time_point submitted) : submitted_(submitted) {}

  void prefill_started(Clock::time_point now);
  void token_sampled(Clock::time_point now);
  void item_emitted(Clock::time_point now);
  void parked(Clock::time_point now) { parked_at_ = now; }
  void unparked(Clock::time_point now);

  Timings timings(Clock::time_point now) const;

 private:
  Clock::time_point submitted_;
  std::optional<Clock::time_point> prefill_at_, first_token_at_, first_item_at_, last_token_at_, parked_at_;
  Clock::duration paused_{}, paused_since_token_{};
  std::vector<float> gaps_ms_;  // between consecutive tokens, without the time parked
};

class Sequence {
 public:
  Sequence(PreparedRequest request, uint64_t arrival);

  StreamId id() const { return control->id; }
  bool cancelled() const { return control->cancelled.load(std::memory_order_relaxed); }
  bool out_of_credit() const { return unacknowledged_ >= std::max(1, settings.high_water_mark); }

  SequenceState state() const { return standing_.state; }
  bool paused() const { return state() == SequenceState::kParked || state() == SequenceState::kSpilled; }
  bool prefilling() const { return state() == SequenceState::kPrefilling; }
  /** It was spilled, and its reader is back: it waits for a slot. */
  bool returns() const { return state() == SequenceState::kSpilled && standing_.returns; }
  /** For a slot: since it came, or since its reader is back. */
  Clock::time_point waits_since() const { return standing_.waits_since; }
  Clock::time_point parked_at() const { return standing_.parked_at; }
  /** While its reader pauses. */
  std::optional<Clock::time_point> stall_deadline() const { return standing_.stall_deadline; }

  /** What is prefilled: the prompt; or prompt and reply, where its slot was lent without an image, or an engine before this one was lost. */
  const Prompt& to_prefill() const { return !again.empty() ? again : !with_replay.empty() ? with_replay : prompt; }

  /** The token that its reply goes on with, where that was drawn by an engine before this one. */
  std::optional<Token> replayed() const {
    const size_t next = static_cast<size_t>(generated);
    return next < settings.replay.size() ? std::optional(settings.replay[next]) : std::nullopt;
  }
  /** What is replayed is prefilled with the prompt. Otherwise it is computed token by token. */
  void prefill_replay();

  /** No prefix of another stream's is of use to it. */
  bool computes_all() const { return settings.prompt_logprobs && again.empty() && settings.replay.empty(); }
  /** Log-probabilities of its prompt are told as it is computed, the first time: before what is replayed was drawn. */
  bool tells_prompt() const { return computes_all() && prefilling(); }

  /** Makes what drafts for it, where something does. Its sampler is made, and nothing of its reply is drawn. */
  void begin_drafts(Decoder& decoder);
  /** Tokens that its reply may have yet. */
  int reply_room(int context_size) const;
  /** Tokens of a draft that its reply has room for, and its reader credit. */
  int draft_room(int context_size) const;
  /** So many tokens of a draft are computed. */
  void count_drafted(int tokens);
  /** One of them has come. */
  void count_accepted();
  /** No draft goes beyond the end of the text. */
  void end_draft(const Decoder& decoder);
  DraftRecord& draft_record(DraftSource source) { return draft_records_[static_cast<size_t>(source)]; }
  DraftRecord& draft_record() { return draft_record(draft_source); }

  Usage usage() const;

  /** Whether the caller wants the reply cut there. The texts at which the model ends it by itself are the template's. */
  bool asked_to_stop_at(const std::string& text) const;

  /** Its consumer has been given so many tokens, or says that it took them. */
  void give(int tokens);
  void take_back(int tokens);

  const std::shared_ptr<StreamControl> control;
  const Prompt prompt;
  const std::vector<int> message_starts;  // in it, where they are known
  std::vector<int> checkpoint_places;     // where its slot can be cut later
  const StreamSettings settings;
  const uint64_t arrival;

  SlotId slot = -1;
  int in_cache = 0;                            // tokens of prompt and reply whose keys and values are in the KV cache
  int taken_over = 0;                          // of those, prompt tokens that were computed for another stream
  std::optional<PrefixBreak> prefix;           // why it was no more, once it has had one
  Token next_token = -1;                       // sampled, not yet decoded
  int generated = 0;                           // tokens of the reply
  uint64_t last_step = 0;                      // that it took part in; 0: none
  bool passed_over = false;                    // the step before had nothing of it, though it could have
  std::optional<size_t> parked_bytes;          // of the image of its slot, once somebody has asked
  std::shared_ptr<const SavedPrefix> spilled;  // what its slot held, while that is lent, or
  Prompt again;                                // where there was no room for that, the tokens: they are computed again
  int lent_prompt_tokens = 0;                  // of either, those computed as pieces of a prompt
  Prompt with_replay;                          // prompt and replay, while both are prefilled

  /** While a prefix is being copied into its slot: until that is done, no step has anything of this sequence. */
  struct Loading {
    std::shared_ptr<const SavedPrefix> prefix;
    std::unique_ptr<SlotCopy> copy;
    int wanted;  // tokens of it
    MovedChunks moved = {};
  };
  std::optional<Loading> loading;

  std::optional<uint64_t> fetching;            // the file that was asked for to begin with, once
  int to_fetch = 0;                            // tokens that it is to bring
  std::shared_ptr<const SavedPrefix> found;    // outside the KV cache, while it waits for its slot
  mutable std::unique_ptr<ChunkIndex> chunks;  // of its prompt, once parts of it were looked for at other places

  std::unique_ptr<SamplerParts> sampler_parts;  // until its sampler is made
  std::unique_ptr<TokenSampler> sampler;
  std::unique_ptr<ReplyStage> reply;
  std::unique_ptr<LogprobQueue> logprobs;  // where they are asked for
  std::vector<Token> drawn;                // of the reply, not yet told; where that is asked for
  StreamClock clock;

  std::unique_ptr<Drafter> drafter;  // null: nothing is drafted
  std::vector<Token> draft;          // of the step under way
  DraftSource draft_source = DraftSource::kLookup;
  int drafted = 0, accepted = 0;  // tokens

 private:
  friend class Sequences;  // which keeps sequences in the order of these, and so makes every transition

  /** It has a slot: what it has to prefill is computed there. From the queue; or anew, where an image was not kept or cannot be used. */
  void begin_prefill();
  /** Its slot holds all but the next token. After its prefill, or with what its slot held when that was lent. */
  void begin_decode();
  /** Its reader pauses. */
  void park(Clock::time_point now);
  /**
   * Its slot is not its any more, and held `content`. That is in the image; without one it is prefilled again. `of_prompt`: tokens of it that were
   * computed as pieces of a prompt.
   */
  void lend(std::shared_ptr<const SavedPrefix> image, const Prompt& content, int of_prompt);
  /** Its reader is back: it decodes; or, where its slot is lent, waits for one. */
  void resume(Clock::time_point now);

  struct Standing {
    SequenceState state = SequenceState::kQueued;
    bool returns = false;
    Clock::time_point waits_since, parked_at;
    std::optional<Clock::time_point> stall_deadline;
  };
  Standing standing_;
  const std::vector<std::string> stops_;
  std::vector<Token> prediction_;  // until its drafter is made
  const bool predicted_;
  std::array<DraftRecord, kDraftSources> draft_records_;
  int prediction_drafted_ = 0, prediction_accepted_ = 0;
  int unacknowledged_ = 0;  // tokens given out and not yet taken by the consumer
};

}  // namespace zse
