// Owns how a planned step is computed: its batch, on how many threads, and when it is given up halfway. Decode thread.
#pragma once

#include <vector>

#include "core/decoder.h"
#include "core/inbox.h"
#include "core/stats.h"
#include "step_planner.h"
#include "thread_choice.h"

namespace zse {

class StepComputer {
 public:
  struct Options {
    bool deterministic;
    bool has_draft_model;
  };

  StepComputer(Decoder& decoder, Inbox& inbox, StepPlanner& planner, EngineStats& stats, Options options);

  /** Of an aborted one nothing is computed; whoever was not cancelled is planned again. */
  DecodeStatus compute(const StepPlan& step);

  /** Something else than steps takes time on this thread: how quick those are cannot be told from what lies between them. */
  void interrupted() { threads_.interrupted(); }

 private:
  void fill_batch(const StepPlan& step, Clock::time_point now);
  DecodeStatus decode(const StepPlan& step, Clock::time_point started);
  void choose_threads(const StepPlan& step);
  void threads_computed(const StepPlan& step);

  Decoder& decoder_;
  Inbox& inbox_;
  StepPlanner& planner_;
  EngineStats& stats_;
  const bool deterministic_;

  ThreadChoice threads_;
  Batch batch_;
  std::vector<const StreamControl*> abortable_;  // streams whose cancel ends the running graph
  bool others_lost_a_step_ = false;  // the step before was aborted with work of streams that go on: this one is not
};

}  // namespace zse
