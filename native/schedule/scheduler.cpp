#include "scheduler.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/error.h"
#include "checkpoint_places.h"
#include "reply/text_assembler.h"

namespace zse {

Scheduler::Scheduler(Decoder& decoder, Embedder* embedder, DraftModel* draft_model, PrefixCache cache, Inbox& inbox,
                     StreamQueue& events, EngineStats& stats, SchedulerOptions options, Outbox::Ends on_end, Parse parse,
                     CacheDesk::Export export_prefix)
    : decoder_(decoder),
      inbox_(inbox),
      stats_(stats),
      options_(options),
      copy_time_(std::min(options.copy_time, std::chrono::duration_cast<Clock::duration>(
                                                 std::chrono::duration<double, std::milli>(options.latency_target_ms / 8)))),
      admission_(decoder, std::move(cache), stats, options.lend_after, options.copied_at_once),
      parse_(std::move(parse)),
      export_(std::move(export_prefix)),
      drafts_(decoder, draft_model, options.draft_tokens),
      planner_(decoder, sequences_, admission_, drafts_, {options.latency_target_ms, options.deterministic}),
      computer_(decoder, inbox, planner_, stats, {options.deterministic, draft_model != nullptr}),
      outbox_(events, std::move(on_end)),
      endings_(decoder, outbox_, parse_) {
  if (embedder) embeddings_ = std::make_unique<Embeddings>(*embedder, outbox_, stats, options.deterministic);
  stats_.free_slots = admission_.free_slots();
}

Scheduler::~Scheduler() = default;

void Scheduler::run() {
  while (!inbox_.closing()) {
    if (!step() && !admission_.write_one()) inbox_.wait(next_deadline());
  }
  finish_all();
}

bool Scheduler::step() {
  const bool was_empty = sequences_.empty();
  take_commands();
  if (was_empty) gather_first();
  end_cancelled_and_stalled();
  make_way();
  admission_.look(sequences_);
  admission_.desk().work(admission_.flowing(), outbox_, export_);  // before what is asked for makes place for somebody
  admission_.admit(sequences_, Clock::now());
  const auto copying = Clock::now();
  const bool copied = admission_.copy_some(sequences_, copy_time_);
  if (copied) computer_.interrupted();
  const bool embeds = embeddings_ && !embeddings_->empty();
  if (embeds) embed_some(copied ? milliseconds(Clock::now() - copying) : 0);
  const bool computed = compute_step(copied || embeds ? milliseconds(Clock::now() - copying) : 0);
  if (!computed) computer_.interrupted();
  publish();
  return computed || copied || (embeddings_ && !embeddings_->empty());
}

void Scheduler::finish_all() {
  take_commands();
  admission_.close();
  while (!sequences_.empty()) finish(sequences_.oldest(), FinishReason::kCancelled);
  endings_.end_all();
  if (embeddings_) embeddings_->fail_all("CLOSED", "the model was closed");
  admission_.desk().fail_all("CLOSED", "the model was closed", outbox_);
  publish();
}

void Scheduler::write_prefixes() {
  do {
    while (admission_.copy_some(sequences_, std::chrono::seconds(1))) continue;
  } while (admission_.write_one());
}

void Scheduler::fail_all(const std::string& code, const std::string& message) {
  while (!sequences_.empty()) fail(sequences_.oldest(), code, message);
  endings_.fail_all(code, message);
  if (embeddings_) embeddings_->fail_all(code, message);
  admission_.desk().fail_all(code, message, outbox_);
  publish();
}

// ---- commands --------------------------------------------------------------------------------------------------------

void Scheduler::take_commands() {
  for (Command& command : inbox_.take()) {
    std::visit([this](auto& c) { handle(std::move(c)); }, command);
  }
}

// Requests made in one turn of the event loop come out of the prompt thread one by one. On an idle engine the first would be prefilled
// alone, and the others then in the small pieces that a decoding stream leaves room for: a moment's wait puts all into one batch.
void Scheduler::gather_first() {
  const auto deadline = Clock::now() + options_.gather_time;
  const auto more_to_come = [this] { return stats_.submitting || received_ + stats_.long_prompts < stats_.submitted; };
  while (!sequences_.empty() && more_to_come() && !inbox_.closing() && Clock::now() < deadline) {
    inbox_.wait(deadline);
    take_commands();
  }
}

void Scheduler::handle(SubmitCommand command) {
  received_++;
  Sequence& sequence = sequences_.add(std::move(command.request));
  if (!options_.deterministic) sequence.prefill_replay();
  if (StepPlanner::has_checkpoints(decoder_)) {
    sequence.checkpoint_places = checkpoint_places(sequence.message_starts, static_cast<int>(sequence.prompt.size()),
                                                   options_.deterministic ? kExclusivePiece : 1);
  }
  if (sequence.cancelled()) cancelled_.push_back(sequence.id());  // its command came before it
  if (!sequence.settings.prepares) return end_preparing_for(sequence);
  if (!admission_.keeps()) return finish(sequence, FinishReason::kLength);  // nobody could go on from it
  preparing_.push_back(sequence.id());
}

void Scheduler::handle(RejectCommand command) {
  received_++;
  const StreamId id = command.control->id;
  if (command.control->cancelled) {
    FinishEvent finish;
    finish.reason = FinishReason::kCancelled;
    finish.timings.queue_ms = milliseconds(Clock::now() - command.control->submitted);
    outbox_.end(id, std::move(finish));
  } else {
    outbox_.end(id, ErrorEvent{std::move(command.code), std::move(command.message)});
  }
}

void Scheduler::handle(CancelCommand command) { cancelled_.push_back(command.stream); }

void Scheduler::handle(AckCommand command) {
  Sequence* sequence = sequences_.find(command.stream);
  if (!sequence) return;
  sequence->take_back(command.tokens);
  if (!sequence->out_of_credit()) sequences_.resume(*sequence, Clock::now());
}

void Scheduler::handle(EndReasoningCommand command) {
  const Sequence* sequence = sequences_.find(command.stream);
  if (sequence && sequence->sampler) decoder_.end_reasoning(*sequence->sampler);
}

void Scheduler::handle(ParsedCommand command) {
  Sequence* sequence = sequences_.find(command.stream);
  if (!sequence) return endings_.parsed(command.stream, std::move(command.reply));
  ReplyEvents events = events_of(*sequence);
  sequence->reply->parsed(std::move(command.reply), events);
  have_parsed(command.stream, *sequence->reply, parse_);
  charge(*sequence, events, Clock::now());
}

void Scheduler::handle(EmbedCommand command) {
  ZSE_ASSERT(embeddings_, "an engine that embeds has an embedder");
  embeddings_->add(std::move(command.control), std::move(command.texts));
}

void Scheduler::handle(CacheCommand command) { admission_.desk().add(std::move(command)); }

void Scheduler::handle(RefuseCommand command) {
  outbox_.answer(AnswerErrorEvent{command.control->number, std::move(command.code), std::move(command.message)});
}

void Scheduler::handle(WithdrawCommand command) {
  if (embeddings_) embeddings_->withdraw(command.question);
  admission_.desk().withdraw(command.question);
}

void Scheduler::end_cancelled_and_stalled() {
  for (const StreamId id : std::exchange(cancelled_, {})) {
    if (Sequence* sequence = sequences_.find(id)) finish(*sequence, FinishReason::kCancelled);
    endings_.cancel(id);
  }
  for (Sequence* sequence : sequences_.active()) {  // the flag may have aborted a step before its command is here
    if (sequence->cancelled()) finish(*sequence, FinishReason::kCancelled);
  }
  const auto now = Clock::now();
  while (Sequence* sequence = sequences_.stalled(now)) {
    fail(*sequence, "STALLED",
         "the reader took no text for " + std::to_string(sequence->settings.stall_timeout_ms) +
             " ms (stallTimeoutMs), so the stream was ended; read faster, or allow a longer stallTimeoutMs");
  }
}

/**
 * What is computed ahead takes nothing from anybody: it begins in a slot that is free, and ends where somebody waits for one. What it has computed
 * stays there for as long as nobody needs the place.
 */
void Scheduler::make_way() {
  const auto gone = [this](StreamId id) { return !sequences_.find(id); };
  preparing_.erase(std::remove_if(preparing_.begin(), preparing_.end(), gone), preparing_.end());
  if (preparing_.empty()) return;
  const int free = admission_.free_slots();
  int waiting = sequences_.next_returning() ? free + 1 : 0;
  for (Sequence* queued = sequences_.next_queued(); queued && waiting <= free; queued = sequences_.next_queued(queued)) {
    if (!queued->settings.prepares) waiting++;
  }
  for (const StreamId id : preparing_) {
    Sequence& sequence = *sequences_.find(id);
    if (sequence.slot >= 0 ? waiting > free : waiting >= free) finish(sequence, FinishReason::kLength);
  }
}

/** Whoever has come now goes on from what was computed ahead for it, and does not wait for the rest. */
void Scheduler::end_preparing_for(const Sequence& newcomer) {
  for (const StreamId id : preparing_) {
    Sequence* sequence = sequences_.find(id);
    if (sequence && sequence->prompt.common_prefix(newcomer.prompt) >= kWorthKeeping)
      finish(*sequence, FinishReason::kLength);
  }
}

// ---- one step --------------------------------------------------------------------------------------------------------

void Scheduler::embed_some(double spent_ms) {
  const int most = planner_.texts_budget(spent_ms);
  if (most == 0) return;
  const auto started = Clock::now();
  const int tokens = embeddings_->compute(most, [this] { return inbox_.closing(); });
  planner_.embedded(tokens, milliseconds(Clock::now() - started));
  if (tokens > 0) computer_.interrupted();
}

bool Scheduler::compute_step(double spent_ms) {
  const StepPlan step = planner_.plan(spent_ms, [this] { return inbox_.closing(); });
  if (step.pieces.empty()) return false;
  const DecodeStatus status = computer_.compute(step);
  // Whoever was cancelled is ended by the next step.
  if (status == DecodeStatus::kOk) advance(step);
  if (status == DecodeStatus::kFailed) {
    for (const PlanPiece& piece : step.pieces) fail(step.of(piece), "ENGINE_FAILED", decoder_.failure(), false);
  }
  return true;
}

/** Each sequence goes on by what the step has computed of it. */
void Scheduler::advance(const StepPlan& step) {
  draw_next(step);
  size_t index = 0;
  auto drawn = draws_.begin();
  for (const PlanPiece& piece : step.pieces) {
    Sequence& sequence = step.of(piece);
    if (sequence.tells_prompt()) tell_prompt(sequence, index, piece.tokens);
    index += piece.tokens;
    if (!sequence.prefilling()) {
      advance_decode(sequence, index - piece.tokens, *drawn++);
      continue;
    }
    add_computed(sequence, sequence.to_prefill().tokens().data() + sequence.in_cache, piece.tokens);
    admission_.keep_checkpoint(sequence);
    if (!advance_prompt(sequence, index - piece.tokens, piece.tokens)) continue;
    if (advance_reply(sequence, index - 1)) park_without_credit(sequence);
  }
  if (!options_.deterministic) drafts_.end_step(admission_.slots(), [this] { return inbox_.closing(); });
}

void Scheduler::add_computed(Sequence& sequence, const Token* tokens, int count) {
  admission_.computed(sequence, tokens, count);
  sequence.in_cache += count;
  ZSE_ASSERT(admission_.agrees(sequence), "what was computed is in its slot");
}

/** The tokens of all streams that decode in this step, at once: into draws_, in the order of the plan. */
void Scheduler::draw_next(const StepPlan& step) {
  draws_.clear();
  size_t index = 0;
  for (const PlanPiece& piece : step.pieces) {
    const Sequence& sequence = step.of(piece);
    if (!sequence.prefilling()) draws_.push_back({sequence.sampler.get(), index, sequence.replayed()});
    index += piece.tokens;
  }
  decoder_.draw_all(draws_);
}

/** Of the tokens after each of a piece; and of the first one, which follows nothing, that there is none. */
void Scheduler::tell_prompt(const Sequence& sequence, size_t index, int tokens) {
  auto told = std::make_unique<std::vector<TokenLogprobs>>();
  const Prompt& prompt = sequence.prompt;
  if (sequence.in_cache == 0) told->push_back(decoder_.logprobs_of_first(prompt[0]));
  for (int i = 0; i < tokens; i++) {
    const size_t next = static_cast<size_t>(sequence.in_cache + i) + 1;
    if (next == prompt.size()) break;
    told->push_back(
        decoder_.logprobs_at(index + static_cast<size_t>(i), prompt[next], sequence.settings.sampling.top_logprobs));
  }
  outbox_.news().push_back({sequence.id(), PromptEvent{}, 0, std::move(told)});
}

bool Scheduler::advance_prompt(Sequence& sequence, size_t first, int count) {
  const int prompt = static_cast<int>(sequence.prompt.size()), total = static_cast<int>(sequence.to_prefill().size());
  const bool again = !sequence.again.empty();  // then its next token was drawn before
  const int before = sequence.in_cache - count;
  if (!again && before < prompt) {
    outbox_.put(sequence.id(), ProgressEvent{std::min(sequence.in_cache, prompt), prompt, sequence.taken_over});
  }
  if (sequence.settings.prepares) {
    if (sequence.in_cache >= prompt) finish(sequence, FinishReason::kLength);
    return false;
  }
  if (!again && before < prompt && sequence.in_cache >= prompt) {
    sequence.sampler = decoder_.make_sampler(sequence.settings.sampling, sequence.prompt, std::move(sequence.sampler_parts));
    if (sequence.control->ends_reasoning) decoder_.end_reasoning(*sequence.sampler);
    if (options_.draft_tokens > 0 && !options_.deterministic) sequence.begin_drafts(decoder_);
  }
  if (!again && !advance_replay(sequence, first, before)) return false;
  if (sequence.in_cache < total) return false;
  sequence.again = {};
  sequence.with_replay = {};
  sequences_.begin_decode(sequence);
  return !again;
}

/** Draws what was drawn before, from the rows of the piece that has just been computed. False: the stream has ended. */
bool Scheduler::advance_replay(Sequence& sequence, size_t first, int before) {
  const int replayed =
      static_cast<int>(sequence.to_prefill().size()) - 1;  // rows that a token of the replay follows end here
  const int end = std::min(sequence.in_cache, replayed);
  for (int position = std::max(before, static_cast<int>(sequence.prompt.size()) - 1); position < end; position++) {
    if (!advance_reply(sequence, first + static_cast<size_t>(position - before))) return false;
  }
  return true;
}

void Scheduler::advance_decode(Sequence& sequence, size_t index, const Draw& drawn) {
  const SlotId slot = sequence.slot;
  const std::vector<Token> draft = std::exchange(sequence.draft, {});
  sequence.count_drafted(static_cast<int>(draft.size()));
  stats_.drafted_tokens += static_cast<int64_t>(draft.size());
  add_computed(sequence, &sequence.next_token, 1);
  bool goes_on = advance_reply(sequence, index, &drawn);
  size_t kept = 0;
  // A token is drawn from each row as ever. The next row follows from what was drawn only where that is what was drafted.
  while (goes_on && kept < draft.size() && sequence.next_token == draft[kept]) {
    kept++;
    stats_.accepted_tokens++;
    sequence.count_accepted();
    add_computed(sequence, &sequence.next_token, 1);
    goes_on = advance_reply(sequence, index + kept);
  }
  const bool sound = kept == draft.size() || admission_.take_back(slot);
  if (!goes_on) return;
  if (!sound) {
    fail(sequence, "ENGINE_FAILED", "what was guessed of a reply could not be taken back", false);
    return;
  }
  if (!draft.empty()) drafts_.learn(sequence, static_cast<int>(draft.size()), static_cast<int>(kept));
  drafts_.kept(slot, index, static_cast<int>(kept) + 1);
  park_without_credit(sequence);
}

void Scheduler::park_without_credit(Sequence& sequence) {
  if (sequence.out_of_credit()) sequences_.park(sequence, Clock::now());
}

bool Scheduler::advance_reply(Sequence& sequence, size_t index, const Draw* drawn) {
  const std::optional<Token> replayed = sequence.replayed();
  std::optional<Token> token;
  try {
    if (drawn && drawn->failure) std::rethrow_exception(drawn->failure);
    token = drawn      ? drawn->token
            : replayed ? decoder_.replay(*sequence.sampler, index, *replayed)
                       : decoder_.sample(*sequence.sampler, index);
  } catch (const EngineError& e) {
    fail(sequence, e.code(), e.what());
    return false;
  }
  if (token && replayed) {
    if (options_.deterministic && *token != *replayed) {
      fail(sequence, "ENGINE_FAILED",
           "the reply cannot go on exactly as it began: token " + std::to_string(sequence.generated) +
               " came out as another one; something that is not in its request has changed it");
      return false;
    }
    token = replayed;
  }
  const auto now = Clock::now();
  if (!token) {
    // Who bans hundreds of tokens has banned all that ignoreEos leaves; the whole vocabulary is refused in lib/engine.
    const bool banned = sequence.settings.sampling.logit_bias.size() >= 256;
    fail(sequence, banned ? "BAD_OPTION" : "ENGINE_FAILED",
         "no token can follow token " + std::to_string(sequence.in_cache) +
             ": the model's output is not a number, or logitBias bans every token; without logitBias, the model file is "
             "probably damaged",
         false);
    return false;
  }
  if (decoder_.is_end_of_generation(*token) && !sequence.settings.sampling.ignore_eos) {
    finish_reply(sequence, FinishReason::kStop, {}, now);
    return false;
  }
  sequence.next_token = *token;
  sequence.generated++;
  if (!replayed) stats_.generated_tokens++;  // the engine before it counted that one
  sequence.clock.token_sampled(now);
  if (sequence.drafter) sequence.drafter->add(*token);

  piece_.clear();
  decoder_.append_piece(*token, piece_);
  if (sequence.logprobs) sequence.logprobs->push(decoder_.logprobs(*sequence.sampler));
  if (sequence.settings.tell_tokens) sequence.drawn.push_back(*token);
  ReplyEvents events = events_of(sequence);
  if (piece_.empty()) sequence.reply->control(decoder_.control_name(*token), events);
  if (!events.stopped_by()) sequence.reply->add(piece_, 1, events);
  have_parsed(sequence.id(), *sequence.reply, parse_);
  charge(sequence, events, now);
  if (events.stopped_by()) {
    finish_reply(sequence, FinishReason::kStop, std::move(events.stopped_by()), now);
    return false;
  }
  const int total = static_cast<int>(sequence.prompt.size()) + sequence.generated;
  const bool reached_maximum = sequence.settings.max_tokens > 0 && sequence.generated >= sequence.settings.max_tokens;
  if (reached_maximum || total >= decoder_.context_size()) {
    finish_reply(sequence, FinishReason::kLength, {}, now);
    return false;
  }
  return true;
}

ReplyEvents Scheduler::events_of(Sequence& sequence) {
  return {sequence.id(), outbox_.news(), sequence.logprobs.get(), sequence.settings.tell_tokens ? &sequence.drawn : nullptr};
}

void Scheduler::charge(Sequence& sequence, const ReplyEvents& events, Clock::time_point now) {
  if (events.items() == 0) return;
  sequence.clock.item_emitted(now);
  sequence.give(events.tokens());
}

void Scheduler::finish_reply(Sequence& sequence, FinishReason reason, std::optional<std::string> stop_string,
                             Clock::time_point now) {
  if (stop_string && !sequence.asked_to_stop_at(*stop_string)) stop_string.reset();  // the model's own end
  ReplyEvents rest = events_of(sequence);
  sequence.reply->finish(reason == FinishReason::kStop && !stop_string, rest);
  charge(sequence, rest, now);
  Endings::Ending ending = endings_.of(sequence, reason);
  ending.event.stop_string = std::move(stop_string);
  remove(sequence, true);
  endings_.end_when_parsed(std::move(ending));
}

// ---- ends ------------------------------------------------------------------------------------------------------------

void Scheduler::finish(Sequence& sequence, FinishReason reason) {
  Endings::Ending ending = endings_.of(sequence, reason);
  remove(sequence, true);
  endings_.end(std::move(ending));
}

void Scheduler::fail(Sequence& sequence, std::string code, std::string message, bool sound) {
  outbox_.end(sequence.id(), ErrorEvent{std::move(code), std::move(message)});
  remove(sequence, sound);
}

void Scheduler::remove(Sequence& sequence, bool sound) {
  admission_.leave(sequence, sound);
  sequences_.erase(sequence);
}

void Scheduler::publish() {
  // Gauges first: whoever hears of a stream's end must find its slot free.
  stats_.queued = sequences_.count(SequenceState::kQueued);
  stats_.prefilling = sequences_.count(SequenceState::kPrefilling);
  stats_.decoding = sequences_.count(SequenceState::kDecoding);
  stats_.spilled = sequences_.count(SequenceState::kSpilled);
  stats_.parked = sequences_.count(SequenceState::kParked) + stats_.spilled;
  stats_.free_slots = admission_.free_slots();
  stats_.embedding = embeddings_ ? embeddings_->waiting() : 0;
  outbox_.publish();
}

std::optional<Clock::time_point> Scheduler::next_deadline() const {
  const std::optional<Clock::time_point> lending = admission_.next_deadline(sequences_), stall = sequences_.next_stall();
  return lending && stall ? std::min(lending, stall) : lending ? lending : stall;
}

}  // namespace zse
