#include "step_computer.h"

#include <algorithm>
#include <climits>

namespace zse {

namespace {

// Steps that are alike: others take what they take.
bool only_decodes(const StepPlan& step) {
  return step.prefill_tokens == 0 && step.decode_tokens == static_cast<int>(step.pieces.size());
}

}  // namespace

// A draft model computes on all of the threads, which spin for a while afterwards. In deterministic mode all compute everything, since attention is cut up by
// how many there are.
StepComputer::StepComputer(Decoder& decoder, Inbox& inbox, StepPlanner& planner, EngineStats& stats, Options options)
    : decoder_(decoder),
      inbox_(inbox),
      planner_(planner),
      stats_(stats),
      deterministic_(options.deterministic),
      threads_(options.deterministic || options.has_draft_model ? 1 : decoder.most_threads()) {}

DecodeStatus StepComputer::compute(const StepPlan& step) {
  const auto started = Clock::now();
  fill_batch(step, started);
  decoder_.use_adapters(step.of(step.pieces.front()).settings.adapters);
  choose_threads(step);
  const DecodeStatus status = decode(step, started);
  if (status != DecodeStatus::kOk) threads_.interrupted();
  if (status == DecodeStatus::kAborted) {
    stats_.aborted_steps++;
    others_lost_a_step_ =
        std::any_of(step.pieces.begin(), step.pieces.end(), [&](const auto& piece) { return !step.of(piece).cancelled(); });
  }
  if (status != DecodeStatus::kOk) return status;
  others_lost_a_step_ = false;
  stats_.steps++;
  stats_.prefilled_tokens += step.prefill_tokens;
  planner_.computed(step, milliseconds(Clock::now() - started));
  threads_computed(step);
  return status;
}

void StepComputer::fill_batch(const StepPlan& step, Clock::time_point now) {
  batch_.clear();
  abortable_.clear();
  for (const PlanPiece& piece : step.pieces) {
    Sequence& sequence = step.of(piece);
    if (!sequence.prefilling()) {
      batch_.push_back({sequence.slot, sequence.in_cache, sequence.next_token, true});
      Position position = sequence.in_cache;
      for (const Token token : sequence.draft) batch_.push_back({sequence.slot, ++position, token, true});
      continue;
    }
    sequence.clock.prefill_started(now);
    abortable_.push_back(sequence.control.get());
    for (int i = 0; i < piece.tokens; i++) {
      const Position position = sequence.in_cache + i;
      const bool has_row = sequence.tells_prompt() || position + 1 >= static_cast<int>(sequence.prompt.size());
      const bool output = (sequence.again.empty() || deterministic_) && has_row;
      batch_.push_back({sequence.slot, position, sequence.to_prefill()[position], output});
    }
  }
}

// Whoever comes just after a step of prompts has begun would wait for nearly all of it. So a short prompt has it begun anew with it.
DecodeStatus StepComputer::decode(const StepPlan& step, Clock::time_point started) {
  return decoder_.decode(batch_, [&] {
    if (inbox_.closing()) return true;
    if (others_lost_a_step_) return false;  // readers that keep leaving, and newcomers, must not stop the others
    const int newcomer = step.joined_most > 0 ? inbox_.shortest_prompt() : INT_MAX;
    if (newcomer != INT_MAX && planner_.joins(step, newcomer, milliseconds(Clock::now() - started))) return true;
    return std::any_of(abortable_.begin(), abortable_.end(),
                       [](const StreamControl* control) { return control->cancelled.load(std::memory_order_relaxed); });
  });
}

/** Prompts have long nodes, of which a thread that has lost its core leaves the others the rest: all threads compute them. */
void StepComputer::choose_threads(const StepPlan& step) {
  if (!threads_.chooses() || decoder_.most_threads() < 2) return;
  decoder_.use_threads(only_decodes(step) ? threads_.threads() : decoder_.most_threads());
}

void StepComputer::threads_computed(const StepPlan& step) {
  if (!threads_.chooses()) return;
  const double now = milliseconds(Clock::now().time_since_epoch());
  if (!only_decodes(step))
    threads_.interrupted();
  else if (threads_.computed(step.decode_tokens, now))
    threads_.look(decoder_.threads_cpu_ms(), now);
}

}  // namespace zse
