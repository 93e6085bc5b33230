// A scheduler that is stepped by hand over the fake decoder, and everything that came out of it: for the tests of the core.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "core/events.h"
#include "core/ids.h"
#include "core/options.h"
#include "core/request.h"
#include "core/stats.h"
#include "fake_decoder.h"
#include "fake_draft_model.h"
#include "fake_embedder.h"
#include "reply/text_assembler.h"
#include "schedule/scheduler.h"

namespace zse {

inline std::vector<Token> make_prompt(int length, int salt) {
  std::vector<Token> prompt;
  for (int i = 0; i < length; i++) prompt.push_back(1 + (i * 7 + salt * 13) % (FakeModel::kVocabulary - 1));
  return prompt;
}

struct Bench {
  FakeDecoder decoder;
  FakeDraftModel draft_model{decoder};
  FakeEmbedder embedder;
  Inbox inbox;
  int wakes = 0;
  StreamQueue queue{[this] { wakes++; }};
  EngineStats stats;
  Scheduler scheduler;
  std::map<StreamId, std::string> text;
  std::map<StreamId, int> text_tokens, ends;
  std::map<StreamId, std::vector<TokenLogprobs>> logprobs;
  std::map<StreamId, std::vector<Token>> drawn;
  std::map<StreamId, std::vector<Token>> told_prompt;  // tokens whose log-probabilities came
  std::map<StreamId, FinishEvent> finished;
  std::map<StreamId, ErrorEvent> failed;
  std::map<StreamId, std::shared_ptr<StreamControl>> controls;
  std::map<uint32_t, std::shared_ptr<QuestionControl>> questions;
  std::map<uint32_t, VectorsAnswer> vectors;
  std::map<uint32_t, AnswerErrorEvent> refused;
  std::map<uint32_t, int> answers, answers_heard;  // news of them, and what was told of their ends
  uint32_t last_question = 0;
  StreamId last_id = 0;

  explicit Bench(int slots = 4, int context = 256, SchedulerOptions options = {}, int max_batch = 64,
                 PromptCacheOptions cache = {}, bool cuttable = true, std::unique_ptr<PrefixFiles> files = nullptr,
                 std::function<void(StreamId, ParseRequest)> parse = {}, int window = INT_MAX, bool with_draft_model = false)
      : decoder(slots, context, max_batch),
        scheduler(
            decoder, &embedder, with_draft_model ? &draft_model : nullptr,
            PrefixCache(cache, {cuttable, options.deterministic ? kExclusivePiece : 1, static_cast<size_t>(context), window},
                        std::move(files), stats),
            inbox, queue, stats, options, {{}, [this](uint32_t question) { answers_heard[question]++; }}, std::move(parse)) {
    decoder.cuttable = cuttable;
    decoder.keeps = window;
    decoder.checkpoints = window != INT_MAX;
  }

  PreparedRequest request(std::vector<Token> prompt) {
    PreparedRequest r;
    r.control = std::make_shared<StreamControl>();
    r.control->id = ++last_id;
    r.control->submitted = Clock::now();
    r.prepared.prompt = Prompt(std::move(prompt));
    r.settings.sampling.seed = static_cast<uint32_t>(last_id);
    r.settings.high_water_mark = 1 << 20;
    return r;
  }
  StreamId submit(PreparedRequest r) {
    const StreamId id = r.control->id;
    controls[id] = r.control;
    inbox.push(SubmitCommand{std::move(r)});
    return id;
  }
  StreamId submit(int prompt_length = 10) { return submit(request(make_prompt(prompt_length, static_cast<int>(last_id)))); }
  uint32_t embed(std::vector<std::vector<Token>> texts, VectorShape shape = {}) {
    auto control = std::make_shared<QuestionControl>();
    control->number = ++last_question;
    questions[control->number] = control;
    inbox.push(EmbedCommand{control, {std::move(texts), shape.dimensions, shape.normalize}});
    return last_question;
  }
  void withdraw(uint32_t question) {
    questions[question]->withdrawn = true;
    inbox.push(WithdrawCommand{question});
  }
  void cancel(StreamId id) {
    controls[id]->cancelled = true;
    inbox.push(CancelCommand{id});
  }
  void collect() {
    for (Event& event : queue.take()) {
      if (auto* answer = std::get_if<AnswerEvent>(&event.payload)) {
        answers[answer->question]++;
        if (auto* told = std::get_if<VectorsAnswer>(&answer->answer)) vectors[answer->question] = *told;
        continue;
      }
      if (auto* error = std::get_if<AnswerErrorEvent>(&event.payload)) {
        answers[error->question]++;
        refused[error->question] = *error;
        continue;
      }
      CHECK_EQ(ends[event.stream], 0);
      drawn[event.stream].insert(drawn[event.stream].end(), event.drawn.begin(), event.drawn.end());
      if (auto* t = std::get_if<TextEvent>(&event.payload)) {
        CHECK(event.tokens > 0 && !t->text.empty());
        text[event.stream] += t->text;
        text_tokens[event.stream] += event.tokens;
        if (event.logprobs) {
          for (const TokenLogprobs& one : *event.logprobs) logprobs[event.stream].push_back(one);
        }
      } else if (std::holds_alternative<PromptEvent>(event.payload)) {
        CHECK(event.tokens == 0 && event.logprobs);
        for (const TokenLogprobs& one : *event.logprobs) told_prompt[event.stream].push_back(one.chosen.token);
      } else if (auto* f = std::get_if<FinishEvent>(&event.payload)) {
        ends[event.stream]++;
        finished[event.stream] = *f;
      } else if (auto* e = std::get_if<ErrorEvent>(&event.payload)) {
        ends[event.stream]++;
        failed[event.stream] = *e;
      }
    }
  }
  bool step() {
    const bool more = scheduler.step();
    collect();
    return more;
  }
  void run_until_idle() {
    for (int i = 0; i < 20000; i++) {
      if (!step()) return;
    }
    CHECK(!"the scheduler never came to rest");
  }
  std::string expected(StreamId id, int prompt_length, int max_tokens = 0) {
    const auto reply = decoder.model.reply(make_prompt(prompt_length, static_cast<int>(id - 1)), static_cast<uint32_t>(id),
                                           max_tokens, decoder.context_size());
    return repair_utf8(reply.bytes);
  }
};

}  // namespace zse
