#include "schedule/scheduler.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "base/error.h"
#include "bench.h"
#include "check.h"
#include "core/announce.h"
#include "fake_decoder.h"

using namespace zse;

TEST("a stream's text is the model's, token by token, and ends once") {
  Bench bench;
  const StreamId id = bench.submit(10);
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], bench.expected(id, 10));
  CHECK_EQ(bench.ends[id], 1);
  CHECK_EQ(bench.stats.free_slots.load(), 4);
}

TEST("streams in one batch do not change each other's text, with more streams than slots") {
  Bench bench(3);
  std::vector<StreamId> ids;
  for (int i = 0; i < 20; i++) ids.push_back(bench.submit(5 + i * 9));
  bench.run_until_idle();
  for (size_t i = 0; i < ids.size(); i++) CHECK_EQ(bench.text[ids[i]], bench.expected(ids[i], 5 + static_cast<int>(i) * 9));
}

TEST("maxTokens ends a stream with length, the context's end does too") {
  Bench bench;
  bench.decoder.model.end_one_in = 0;
  auto limited = bench.request(make_prompt(10, 0));
  limited.settings.max_tokens = 7;
  const StreamId a = bench.submit(std::move(limited));
  const StreamId b = bench.submit(250);
  bench.run_until_idle();
  CHECK(bench.finished[a].reason == FinishReason::kLength);
  CHECK_EQ(bench.finished[a].usage.completion_tokens, 7);
  CHECK(bench.finished[b].reason == FinishReason::kLength);
  CHECK_EQ(bench.finished[b].usage.completion_tokens, 6);
}

TEST("a reader that takes nothing parks its stream at the high-water mark while the others go on") {
  Bench bench;
  bench.decoder.model.end_one_in = 0;
  auto slow = bench.request(make_prompt(10, 0));
  slow.settings.high_water_mark = 5;
  const StreamId id = bench.submit(std::move(slow));
  auto other = bench.request(make_prompt(10, 1));
  other.settings.max_tokens = 100;
  const StreamId fast = bench.submit(std::move(other));
  bench.run_until_idle();
  CHECK_EQ(bench.ends[id], 0);
  CHECK(bench.text_tokens[id] >= 5 && bench.text_tokens[id] <= 8);  // one text may carry a code point's tokens
  CHECK_EQ(bench.stats.parked.load(), 1);
  CHECK_EQ(bench.ends[fast], 1);
}

TEST("an acknowledgement wakes a parked stream, and its text is whole") {
  Bench bench;
  auto slow = bench.request(make_prompt(10, 0));
  slow.settings.high_water_mark = 1;
  const StreamId id = bench.submit(std::move(slow));
  int acked = 0;
  for (int i = 0; i < 2000 && bench.ends[id] == 0; i++) {
    bench.run_until_idle();
    const int news = bench.text_tokens[id] - acked;
    acked += news;
    if (bench.ends[id] == 0) REQUIRE(news > 0);
    bench.inbox.push(AckCommand{id, news});
  }
  CHECK_EQ(bench.text[id], bench.expected(id, 10));
  CHECK(bench.finished[id].timings.paused_ms >= 0);
}

TEST("a parked stream nobody reads ends with STALLED and its slot comes free") {
  Bench bench;
  bench.decoder.model.end_one_in = 0;
  auto slow = bench.request(make_prompt(10, 0));
  slow.settings.high_water_mark = 4;
  slow.settings.stall_timeout_ms = 20;
  const StreamId id = bench.submit(std::move(slow));
  bench.run_until_idle();
  CHECK_EQ(bench.ends[id], 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  bench.run_until_idle();
  CHECK_EQ(bench.failed[id].code, "STALLED");
  CHECK_EQ(bench.stats.free_slots.load(), 4);
}

TEST("a cancel ends a stream in every state: queued, prefilling, decoding, parked") {
  Bench bench(1, 256, {}, 16);
  bench.decoder.model.end_one_in = 0;
  auto first = bench.request(make_prompt(100, 0));
  first.settings.high_water_mark = 3;
  const StreamId a = bench.submit(std::move(first));
  const StreamId b = bench.submit(10);
  bench.step();
  CHECK_EQ(bench.stats.prefilling.load(), 1);
  CHECK_EQ(bench.stats.queued.load(), 1);
  bench.cancel(b);  // queued
  bench.step();
  CHECK_EQ(bench.ends[b], 1);
  bench.cancel(a);  // prefilling
  bench.step();
  CHECK_EQ(bench.ends[a], 1);

  const StreamId c = bench.submit(10);
  bench.step();
  bench.step();
  CHECK_EQ(bench.stats.decoding.load(), 1);
  bench.cancel(c);  // decoding
  bench.step();
  CHECK(bench.finished[c].reason == FinishReason::kCancelled);

  auto parked = bench.request(make_prompt(10, 3));
  parked.settings.high_water_mark = 2;
  const StreamId d = bench.submit(std::move(parked));
  bench.run_until_idle();
  CHECK_EQ(bench.stats.parked.load(), 1);
  bench.cancel(d);  // parked
  bench.step();
  CHECK_EQ(bench.ends[d], 1);
  CHECK_EQ(bench.stats.free_slots.load(), 1);
}

TEST("a cancel ends the running graph of a prefill, and the others lose no token") {
  Bench bench(4, 4000, {}, 512);
  const StreamId other = bench.submit(10);
  bench.step();
  bench.step();
  const StreamId id = bench.submit(3000);
  bench.step();
  const int decodes = bench.decoder.decodes;
  bench.decoder.during_decode = [&] {  // from another thread, as it were: only the flag reaches a running graph
    if (bench.decoder.decodes == decodes + 2) bench.controls[id]->cancelled = true;
  };
  bench.run_until_idle();
  CHECK_EQ(bench.stats.aborted_steps.load(), 1);
  CHECK(bench.stats.prefilled_tokens.load() < 10 + 3000);
  CHECK_EQ(bench.ends[id], 1);
  CHECK(bench.finished[id].reason == FinishReason::kCancelled);
  CHECK_EQ(bench.text[other], bench.expected(other, 10));
}

TEST("readers that keep leaving in the middle of their prompts do not stop the others") {
  Bench bench(4, 4000, {}, 64);
  bench.decoder.model.end_one_in = 0;
  const StreamId reader = bench.submit(10);
  StreamId leaving = 0;
  bench.decoder.during_decode = [&] {
    if (leaving) bench.controls[leaving]->cancelled = true;
  };
  for (int i = 0; i < 100; i++) {
    leaving = bench.submit(3000);
    bench.step();
  }
  CHECK(bench.stats.aborted_steps.load() > 10);
  CHECK(bench.text_tokens[reader] >= 40);
  CHECK_EQ(bench.text[reader].compare(0, 20, bench.expected(reader, 10, 100), 0, 20), 0);
}

TEST("a failed decode ends the streams in it with ENGINE_FAILED, and the engine goes on") {
  Bench bench;
  bench.decoder.fail_decode = 3;
  const StreamId a = bench.submit(10), b = bench.submit(12);
  bench.decoder.model.end_one_in = 0;
  for (int i = 0; i < 6; i++) bench.step();
  CHECK_EQ(bench.failed[a].code, "ENGINE_FAILED");
  CHECK_EQ(bench.failed[b].code, "ENGINE_FAILED");
  bench.decoder.model.end_one_in = 40;
  const StreamId c = bench.submit(14);
  bench.run_until_idle();
  CHECK_EQ(bench.text[c], bench.expected(c, 14));
}

TEST("a model that outputs not-a-number fails that stream with a clear error") {
  Bench bench;
  bench.decoder.not_a_number = true;
  const StreamId id = bench.submit(10);
  bench.run_until_idle();
  CHECK_EQ(bench.failed[id].code, "ENGINE_FAILED");
  CHECK_EQ(bench.stats.free_slots.load(), 4);
}

TEST("a stop string ends the stream, names itself and does not show") {
  Bench bench;
  bench.decoder.model.end_one_in = 0;
  auto request = bench.request(make_prompt(10, 0));
  request.prepared.stops = {"stop"};
  const StreamId id = bench.submit(std::move(request));
  bench.run_until_idle();
  CHECK(bench.finished[id].reason == FinishReason::kStop);
  CHECK_EQ(bench.finished[id].stop_string.value_or(""), "stop");
  CHECK(bench.text[id].find("stop") == std::string::npos);
}

TEST("a text at which the template ends a reply is the model's own end, unless the caller asked for it too") {
  for (const bool asked : {false, true}) {
    Bench bench;
    bench.decoder.model.end_one_in = 0;
    auto request = bench.request(make_prompt(10, 0));
    request.settings.max_tokens = 200;
    request.prepared.template_stops = {"stop"};
    if (asked) request.prepared.stops = {"stop"};
    const StreamId id = bench.submit(std::move(request));
    bench.run_until_idle();
    CHECK(bench.finished[id].reason == FinishReason::kStop);
    CHECK_EQ(bench.finished[id].stop_string.has_value(), asked);
    CHECK(bench.text[id].find("stop") == std::string::npos);
  }
}

TEST("a stop string that is one control token ends the stream, and what was held back for another one shows") {
  for (const bool wanted : {true, false}) {
    Bench bench;
    bench.decoder.model.end_one_in = 0;
    bench.decoder.control = 46;
    auto request = bench.request(make_prompt(10, 0));
    request.settings.max_tokens = 200;
    request.prepared.stops = {wanted ? "<|control|>" : "<|other|>"};
    const StreamId id = bench.submit(std::move(request));
    bench.run_until_idle();
    CHECK(bench.finished[id].reason == (wanted ? FinishReason::kStop : FinishReason::kLength));
    CHECK_EQ(bench.finished[id].stop_string.value_or(""), wanted ? "<|control|>" : "");
    CHECK(bench.text[id].find("control") == std::string::npos);
    CHECK(!bench.text[id].empty());
  }
}

TEST("one step's news of all streams makes one wake-up") {
  Bench bench(8);
  bench.decoder.model.end_one_in = 0;
  for (int i = 0; i < 8; i++) bench.submit(4);
  bench.step();
  bench.wakes = 0;
  for (int i = 0; i < 10; i++) bench.step();
  CHECK_EQ(bench.wakes, 10);
  bench.wakes = 0;
  for (int i = 0; i < 10; i++) bench.scheduler.step();  // nobody takes the news
  CHECK_EQ(bench.wakes, 1);
  bench.collect();
}

TEST("a request whose prompt could not be prepared gets its error and takes no slot") {
  Bench bench;
  auto control = std::make_shared<StreamControl>();
  control->id = 77;
  bench.inbox.push(RejectCommand{control, "CONTEXT_OVERFLOW", "too long"});
  bench.run_until_idle();
  CHECK_EQ(bench.failed[77].code, "CONTEXT_OVERFLOW");
}

namespace {

/** A reply of 150 tokens that parks in its middle, told with its tokens up to there. */
struct Lost {
  std::vector<Token> tokens;
  std::string text;
};
Lost lose_reply(SchedulerOptions options = {}) {
  Bench bench(4, 256, options);
  bench.decoder.model.end_one_in = 0;
  auto request = bench.request(make_prompt(40, 0));
  request.settings.tell_tokens = true;
  request.settings.high_water_mark = 100;
  const StreamId id = bench.submit(std::move(request));
  bench.run_until_idle();
  return {bench.drawn[id], bench.text[id]};
}

PreparedRequest replaying(Bench& bench, std::vector<Token> tokens) {
  bench.decoder.model.end_one_in = 0;
  auto request = bench.request(make_prompt(40, 0));
  request.settings.tell_tokens = true;
  request.settings.max_tokens = 150;
  request.settings.replay = std::move(tokens);
  return request;
}

std::string whole_reply(Bench& bench) {
  const auto reply = bench.decoder.model.reply(make_prompt(40, 0), 1, 150, 256);
  return repair_utf8(reply.bytes);
}

}  // namespace

TEST("a stream tells the ids of its tokens where it is asked to, each with the first text that it is in") {
  const Lost lost = lose_reply();
  std::string text;
  for (const Token token : lost.tokens) text += FakeModel::piece(token);
  CHECK(lost.tokens.size() >= 100);
  CHECK_EQ(repair_utf8(text.substr(0, lost.text.size())), lost.text);
  Bench bench;
  const StreamId quiet = bench.submit(10);
  bench.run_until_idle();
  CHECK(bench.drawn[quiet].empty());
}

TEST("a reply that was lost is given again from its start, prefilled in pieces, and goes on") {
  const Lost lost = lose_reply();
  Bench bench;
  bench.decoder.replay_rows = 32;
  const StreamId id = bench.submit(replaying(bench, lost.tokens));
  auto other = bench.request(make_prompt(30, 1));  // its rows are its own
  other.settings.max_tokens = 20;
  bench.submit(std::move(other));
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], whole_reply(bench));
  CHECK_EQ(bench.ends[id], 1);
  CHECK(bench.finished[id].reason == FinishReason::kLength);
  CHECK_EQ(bench.finished[id].usage.completion_tokens, 150);
  CHECK_EQ(bench.finished[id].usage.prompt_tokens, 40);
  CHECK_EQ(bench.drawn[id].size(), size_t{150});
  // The engine that was lost had counted those.
  CHECK_EQ(bench.stats.generated_tokens.load(), 150 + 20 - static_cast<int64_t>(lost.tokens.size()));
  // 100 tokens and more in pieces of 32, in place of a step for each.
  CHECK(bench.decoder.decodes < 150 - static_cast<int>(lost.tokens.size()) + 20);
}

TEST("a reply that was lost is computed token by token in deterministic mode, beside others, and is the same") {
  SchedulerOptions options;
  options.deterministic = true;
  const Lost lost = lose_reply(options);
  Bench bench(4, 256, options);
  const StreamId id = bench.submit(replaying(bench, lost.tokens));
  bench.submit(30);
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], whole_reply(bench));
  CHECK_EQ(bench.finished[id].usage.completion_tokens, 150);
}

TEST("a reply that was lost parks at the high-water mark, and one that had all of its tokens ends at once") {
  const Lost lost = lose_reply();
  Bench bench;
  auto request = replaying(bench, lost.tokens);
  request.settings.high_water_mark = 4;
  const StreamId id = bench.submit(std::move(request));
  int acked = 0;
  for (int i = 0; i < 2000 && bench.ends[id] == 0; i++) {
    bench.run_until_idle();
    const int news = bench.text_tokens[id] - acked;
    acked += news;
    if (bench.ends[id] == 0) REQUIRE(news > 0);
    bench.inbox.push(AckCommand{id, news});
  }
  CHECK_EQ(bench.text[id], whole_reply(bench));

  auto full = replaying(bench, lost.tokens);
  full.settings.max_tokens = static_cast<int>(lost.tokens.size());
  const StreamId ended = bench.submit(std::move(full));
  bench.run_until_idle();
  CHECK(bench.finished[ended].reason == FinishReason::kLength);
  CHECK_EQ(bench.finished[ended].usage.completion_tokens, static_cast<int>(lost.tokens.size()));
  CHECK_EQ(bench.stats.free_slots.load(), 4);
}

TEST("a deterministic reply that does not come out as it was told ends with ENGINE_FAILED and says at which token") {
  SchedulerOptions options;
  options.deterministic = true;
  Lost lost = lose_reply(options);
  lost.tokens[5] = lost.tokens[5] == 3 ? 4 : 3;
  Bench bench(4, 256, options);
  const StreamId id = bench.submit(replaying(bench, lost.tokens));
  bench.run_until_idle();
  CHECK_EQ(bench.failed[id].code, "ENGINE_FAILED");
  CHECK(bench.failed[id].message.find("token 5 came out as another one") != std::string::npos);
  CHECK_EQ(bench.stats.free_slots.load(), 4);
}

TEST("prompt progress is reported as it is made") {
  Bench bench(1, 256, {}, 16);
  const StreamId id = bench.submit(100);
  std::vector<int> processed;
  while (bench.scheduler.step()) {
    for (const Event& event : bench.queue.take()) {
      if (auto* p = std::get_if<ProgressEvent>(&event.payload)) {
        CHECK_EQ(event.stream, id);
        CHECK_EQ(p->total, 100);
        processed.push_back(p->processed);
      }
    }
  }
  CHECK_EQ(processed.size(), 7u);
  CHECK(std::is_sorted(processed.begin(), processed.end()));
  CHECK_EQ(processed.back(), 100);
}

TEST("a prompt's log-probabilities are told once, whole and in order, whatever was computed before and whoever leaves") {
  PromptCacheOptions cache;
  cache.enabled = true;
  Bench bench(2, 256, {}, 16, cache);
  const std::vector<Token> prompt = make_prompt(150, 0);
  bench.submit(bench.request(prompt));  // so that the prompt could be taken over
  bench.run_until_idle();
  auto asked = bench.request(prompt);
  asked.settings.prompt_logprobs = true;
  asked.settings.max_tokens = 3;
  const StreamId id = bench.submit(std::move(asked));
  const StreamId other = bench.submit(100);
  bool left = false;
  bench.decoder.during_decode = [&] {  // aborts a step in which it is computed
    if (!left && bench.told_prompt[id].size() > 20) {
      left = true;
      bench.cancel(other);
    }
  };
  bench.run_until_idle();
  CHECK(left);
  CHECK(bench.told_prompt[id] == prompt);
  CHECK_EQ(bench.finished[id].usage.cached_tokens, 0);
  CHECK(bench.told_prompt[other].empty());
}

TEST("streams with the same prompt compute it once, and each has its own text") {
  for (const bool can_copy : {true, false}) {
    Bench bench(3, 400, {}, 32, {}, can_copy);
    const int length = 200;
    std::vector<StreamId> ids;
    for (int i = 0; i < 5; i++) ids.push_back(bench.submit(bench.request(make_prompt(length, 0))));
    bench.cancel(ids[1]);
    bench.run_until_idle();
    for (const StreamId id : ids) {
      if (id == ids[1]) continue;
      const auto reply = bench.decoder.model.reply(make_prompt(length, 0), static_cast<uint32_t>(id), 0, 400);
      CHECK_EQ(bench.text[id], repair_utf8(reply.bytes));
    }
    CHECK_EQ(bench.finished[ids[2]].usage.cached_tokens, can_copy ? length - 1 : 0);
    CHECK_EQ(bench.finished[ids[0]].usage.cached_tokens, 0);
  }
}

namespace {

/** Something happens in the middle of the first step that has a piece of this prompt. */
void in_a_piece_of(Bench& bench, StreamId prompt, std::function<void()> happens) {
  bench.decoder.during_decode = [&bench, prompt, happens = std::move(happens), done = false]() mutable {
    if (done || bench.ends[prompt] > 0 || bench.decoder.last_batch.size() < 8) return;
    done = true;
    happens();
  };
}

/** A reader whose stream flows, at 2 ms a step. */
StreamId flowing_reader(Bench& bench) {
  bench.decoder.sleep_us = 2000;
  bench.decoder.model.end_one_in = 0;
  auto request = bench.request(make_prompt(10, 0));
  request.settings.max_tokens = 60;
  const StreamId reader = bench.submit(std::move(request));
  while (bench.text_tokens[reader] < 3) bench.step();
  return reader;
}

StreamId submit_for(Bench& bench, int prompt_length, int max_tokens) {
  auto request = bench.request(make_prompt(prompt_length, static_cast<int>(bench.last_id)));
  request.settings.max_tokens = max_tokens;
  return bench.submit(std::move(request));
}

}  // namespace

TEST("a short prompt that comes just after a step of a long one has begun is in it: beside a reader, and without one") {
  for (const bool with_reader : {true, false}) {
    Bench bench(4, 2000, {}, 64);
    const StreamId reader = with_reader ? flowing_reader(bench) : 0;
    bench.decoder.sleep_us =
        with_reader ? 2000 : 100'000;  // a quarter of a step may be lost: of one without a reader, of what it takes
    const StreamId longer = submit_for(bench, 300, 5);
    bench.step();  // what a row takes is known now
    StreamId newcomer = 0;
    in_a_piece_of(bench, longer, [&] { newcomer = submit_for(bench, 12, 5); });
    bench.step();
    REQUIRE(newcomer != 0);
    CHECK_EQ(bench.stats.aborted_steps.load(), 1);
    const int64_t generated = bench.stats.generated_tokens;
    bench.step();
    CHECK_EQ(bench.stats.generated_tokens.load(), generated + (with_reader ? 2 : 1));  // its first token
    bench.decoder.sleep_us = 0;
    bench.cancel(longer);
    bench.run_until_idle();
    CHECK_EQ(bench.text[newcomer], bench.expected(newcomer, 12, 5));
    if (with_reader) CHECK_EQ(bench.text[reader], bench.expected(reader, 10, 60));
  }
}

TEST(
    "a step is not begun anew late, for a long prompt, for one that finds no slot, for what is computed ahead, nor in "
    "deterministic mode") {
  for (const char* why : {"late", "long", "no slot", "ahead", "deterministic"}) {
    const std::string is = why;
    SchedulerOptions options;
    options.deterministic = is == "deterministic";
    Bench bench(is == "no slot" ? 2 : 4, 4000, options, 64);
    const StreamId reader = flowing_reader(bench);
    const StreamId longer = submit_for(bench, 300, 5);
    bench.step();
    StreamId newcomer = 0;
    in_a_piece_of(bench, longer, [&] {
      if (is == "late") std::this_thread::sleep_for(std::chrono::milliseconds(60));
      auto request = bench.request(make_prompt(is == "long" ? 2000 : 12, static_cast<int>(bench.last_id)));
      request.settings.max_tokens = 5;
      request.settings.prepares = is == "ahead";
      newcomer = bench.submit(std::move(request));
    });
    bench.run_until_idle();
    REQUIRE(newcomer != 0);
    CHECK_EQ(bench.stats.aborted_steps.load(), 0);
    CHECK_EQ(bench.text[reader], bench.expected(reader, 10, 60));
    if (is != "ahead") CHECK_EQ(bench.text[newcomer], bench.expected(newcomer, is == "long" ? 2000 : 12, 5));
  }
}

TEST("newcomers in every step stop nobody: a step that was begun anew runs to its end") {
  Bench bench(4, 4000, {}, 64);
  const StreamId reader = flowing_reader(bench);
  const StreamId longer = submit_for(bench, 300, 5);
  std::vector<StreamId> newcomers;
  bench.decoder.during_decode = [&] {
    if (newcomers.size() < 40) newcomers.push_back(submit_for(bench, 12, 1));
  };
  bench.run_until_idle();
  CHECK(bench.stats.aborted_steps.load() > 3);
  CHECK(2 * bench.stats.aborted_steps.load() <= bench.decoder.decodes);
  CHECK_EQ(bench.text[reader], bench.expected(reader, 10, 60));
  CHECK_EQ(bench.text[longer], bench.expected(longer, 300, 5));
  for (const StreamId id : newcomers) CHECK_EQ(bench.text[id], bench.expected(id, 12, 1));
}

TEST("requests made together on an idle engine begin together, however they arrive") {
  SchedulerOptions patient;  // the other thread may be kept waiting on a busy machine
  patient.gather_time = std::chrono::seconds(20);
  Bench bench(8, 256, patient, 64);
  bench.stats.submitted = 8;
  bench.submit(6);
  std::thread late([&] {
    for (int i = 1; i < 8; i++) {
      std::this_thread::yield();
      bench.submit(6);
    }
  });
  bench.step();
  late.join();
  CHECK_EQ(bench.decoder.largest_batch, 48u);
}

TEST("requests of one turn of the event loop begin in one step, also where the first prompt is ready at once") {
  SchedulerOptions patient;  // the turn may be kept waiting on a busy machine
  patient.gather_time = std::chrono::seconds(20);
  Bench bench(4, 256, patient, 64);
  std::atomic<bool> steps{false};
  std::thread decoding;
  announce(bench.stats, [&] {
    bench.submit(6);
    decoding = std::thread([&] {
      steps = true;
      bench.step();
    });
    while (!steps) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // a step that waits for nobody is over by then
  });
  announce(bench.stats, [&] { bench.submit(6); });
  bench.stats.submitting = false;
  bench.inbox.push(WakeCommand{});
  decoding.join();
  CHECK_EQ(bench.decoder.largest_batch, 12u);
}

TEST("a request that could not be handed on is not waited for") {
  SchedulerOptions patient;
  patient.gather_time = std::chrono::seconds(20);
  Bench bench(4, 256, patient, 64);
  bool thrown = false;
  try {
    announce(bench.stats, [] { throw EngineError("ENGINE_FAILED", "there is no thread for it"); });
  } catch (const EngineError&) {
    thrown = true;
  }
  CHECK(thrown);
  announce(bench.stats, [&] { bench.submit(6); });
  bench.stats.submitting = false;
  CHECK_EQ(bench.stats.submitted.load(), int64_t{1});
  bench.step();
  CHECK_EQ(bench.decoder.largest_batch, 6u);
}

TEST("a request that never arrives does not hold the first one back") {
  Bench bench;
  bench.stats.submitted = 2;
  const StreamId id = bench.submit(10);
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], bench.expected(id, 10));
}

TEST("a stream that waits for another's prompt computes it itself when that one is cancelled") {
  Bench bench(3, 400, {}, 32);
  const StreamId first = bench.submit(bench.request(make_prompt(200, 0)));
  const StreamId second = bench.submit(bench.request(make_prompt(200, 0)));
  bench.step();
  bench.cancel(first);
  bench.run_until_idle();
  CHECK(bench.finished[first].reason == FinishReason::kCancelled);
  const auto reply = bench.decoder.model.reply(make_prompt(200, 0), static_cast<uint32_t>(second), 0, 400);
  CHECK_EQ(bench.text[second], repair_utf8(reply.bytes));
}

TEST("in deterministic mode no step holds two sequences, and texts are the same") {
  SchedulerOptions options;
  options.deterministic = true;
  Bench bench(4, 256, options);
  bench.decoder.record = true;
  std::vector<StreamId> ids;
  for (int i = 0; i < 6; i++) ids.push_back(bench.submit(20 + i));
  bench.run_until_idle();
  for (const Batch& batch : bench.decoder.history) {
    for (const BatchToken& token : batch) CHECK_EQ(token.slot, batch[0].slot);
  }
  for (size_t i = 0; i < ids.size(); i++) CHECK_EQ(bench.text[ids[i]], bench.expected(ids[i], 20 + static_cast<int>(i)));
}

TEST(
    "in deterministic mode streams share steps where rows are alike, a piece of a prompt shares none, and texts are the "
    "same") {
  SchedulerOptions options;
  options.deterministic = true;
  Bench bench(4, 600, options);
  bench.decoder.record = true;
  bench.decoder.alike = true;
  std::vector<StreamId> ids;
  for (int i = 0; i < 6; i++) ids.push_back(bench.submit(20 + 90 * i));
  bench.run_until_idle();
  size_t most = 0;
  for (const Batch& batch : bench.decoder.history) {
    std::set<SlotId> slots;
    for (const BatchToken& token : batch) slots.insert(token.slot);
    CHECK(slots.size() == 1 || slots.size() == batch.size());
    most = std::max(most, slots.size());
  }
  CHECK_EQ(most, size_t{4});
  for (size_t i = 0; i < ids.size(); i++)
    CHECK_EQ(bench.text[ids[i]], bench.expected(ids[i], 20 + 90 * static_cast<int>(i)));
}

TEST("closing gives every stream its one finish, queued and unread commands too") {
  Bench bench(2);
  bench.decoder.model.end_one_in = 0;
  for (int i = 0; i < 5; i++) bench.submit(10);
  for (int i = 0; i < 5; i++) bench.step();
  const StreamId late = bench.submit(10);
  bench.inbox.close();
  bench.scheduler.run();
  bench.collect();
  for (StreamId id = 1; id <= late; id++) {
    CHECK_EQ(bench.ends[id], 1);
    CHECK(bench.finished[id].reason == FinishReason::kCancelled);
  }
}

TEST("log-probabilities come with the texts of their tokens, in order, their bytes whole; plain streams beside have none") {
  Bench bench(4, 512);
  bench.decoder.model.end_one_in = 0;
  auto asking = bench.request(make_prompt(10, 0));
  asking.settings.sampling.logprobs = true;
  asking.settings.max_tokens = 300;
  const StreamId id = bench.submit(std::move(asking));
  auto other = bench.request(make_prompt(10, 1));
  other.settings.max_tokens = 300;
  const StreamId plain = bench.submit(std::move(other));
  bench.run_until_idle();
  CHECK_EQ(bench.logprobs[id].size(), size_t{300});
  std::string bytes;
  for (const TokenLogprobs& one : bench.logprobs[id]) {
    bytes += one.chosen.bytes;
    CHECK_EQ(one.chosen.logprob, static_cast<float>(-one.chosen.token));
    CHECK_EQ(one.top.size(), size_t{1});
  }
  CHECK_EQ(repair_utf8(bytes), bench.text[id]);
  CHECK(bench.logprobs[plain].empty());
}

TEST("what is computed ahead takes no step that a stream wants, and is the prefix of who comes for it") {
  Bench bench;
  bench.decoder.model.end_one_in = 0;
  const StreamId stream = bench.submit(10);
  bench.scheduler.step();
  auto ahead = bench.request(make_prompt(100, 7));
  ahead.settings.prepares = true;
  const StreamId preparing = bench.submit(std::move(ahead));
  for (int i = 0; i < 20; i++) bench.scheduler.step();
  CHECK_EQ(bench.stats.prefilled_tokens.load(), 10);
  bench.cancel(stream);
  bench.run_until_idle();
  CHECK_EQ(bench.stats.prefilled_tokens.load(), 110);
  CHECK_EQ(bench.ends[preparing], 1);
  CHECK_EQ(bench.text[preparing], "");
  auto call = bench.request(make_prompt(100, 7));
  call.settings.max_tokens = 3;
  const StreamId after = bench.submit(std::move(call));
  bench.run_until_idle();
  CHECK_EQ(bench.finished[after].usage.cached_tokens, 99);
}

TEST(
    "who waits for a slot gets that of a prompt that is computed ahead, and who wants that prompt does not wait for its "
    "end") {
  Bench bench(1, 1024);
  auto ahead = bench.request(make_prompt(900, 7));
  ahead.settings.prepares = true;
  const StreamId preparing = bench.submit(std::move(ahead));
  bench.scheduler.step();
  bench.scheduler.step();
  auto call = bench.request(make_prompt(900, 7));
  call.settings.max_tokens = 1;
  const StreamId after = bench.submit(std::move(call));
  bench.scheduler.step();
  bench.collect();
  CHECK_EQ(bench.ends[preparing], 1);
  bench.run_until_idle();
  CHECK_EQ(bench.ends[after], 1);
  CHECK(bench.finished[after].usage.cached_tokens > 0);
  auto queued = bench.request(make_prompt(900, 3));
  queued.settings.prepares = true;
  const StreamId busy = bench.submit(200), none = bench.submit(std::move(queued));
  bench.scheduler.step();
  bench.collect();
  CHECK_EQ(bench.ends[none], 1);
  CHECK_EQ(bench.ends[busy], 0);
}
