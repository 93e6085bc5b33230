#include "schedule/speculation.h"

#include <algorithm>

#include "bench.h"
#include "check.h"
#include "fake_decoder.h"

using namespace zse;

namespace {

/** Steps take as long whatever is in them, so that drafts pay. */
struct DraftBench : Bench {
  explicit DraftBench(int slots = 4, int context = 256, SchedulerOptions options = {}, PromptCacheOptions cache = {},
                      bool cuttable = true, bool with_draft_model = false)
      : Bench(slots, context, with_drafts(options), 64, cache, cuttable, nullptr, {}, INT_MAX, with_draft_model) {
    decoder.replay_rows = 16;
    decoder.sleep_us = 400;
    decoder.model.end_one_in = 0;
  }

  PreparedRequest drafting(int prompt_length, int salt, int max_tokens) {
    auto r = request(make_prompt(prompt_length, salt));
    r.settings.draft_tokens = 8;
    r.settings.max_tokens = max_tokens;
    return r;
  }

  static SchedulerOptions with_drafts(SchedulerOptions options) {
    options.draft_tokens = 16;
    return options;
  }
};

/** Nothing is looked up: what is drafted is the draft model's. */
struct ModelBench : DraftBench {
  explicit ModelBench(int slots = 4, int context = 256, SchedulerOptions options = {}, PromptCacheOptions cache = {})
      : DraftBench(slots, context, options, cache, true, true) {
    decoder.looks_up = false;
  }
};

std::string reply_of(const DraftBench& bench, int prompt_length, int salt, StreamId id, int max_tokens) {
  const auto reply = bench.decoder.model.reply(make_prompt(prompt_length, salt), static_cast<uint32_t>(id), max_tokens, 256);
  return repair_utf8(reply.bytes);
}

/** Three streams whose readers pause all the time have their texts, and drafts of theirs come. */
void check_slow_readers(DraftBench& bench) {
  std::vector<StreamId> ids;
  for (int i = 0; i < 3; i++) {
    auto slow = bench.drafting(20, i, 100);
    slow.settings.high_water_mark = 6;
    ids.push_back(bench.submit(std::move(slow)));
  }
  std::map<StreamId, int> acked;
  const auto done = [&] { return std::all_of(ids.begin(), ids.end(), [&](StreamId id) { return bench.ends[id] > 0; }); };
  for (int i = 0; i < 5000 && !done(); i++) {
    bench.run_until_idle();
    for (const StreamId id : ids) {
      bench.inbox.push(AckCommand{id, bench.text_tokens[id] - acked[id]});
      acked[id] = bench.text_tokens[id];
    }
  }
  for (int i = 0; i < 3; i++) CHECK_EQ(bench.text[ids[i]], reply_of(bench, 20, i, ids[i], 100));
  CHECK(bench.stats.accepted_tokens.load() > 0);
}

}  // namespace

TEST("a stream whose drafts are right has the same text in fewer steps, and is told of them") {
  DraftBench bench;
  bench.decoder.sleep_us = 2000;  // so that a busy machine's pauses make no step many times as long
  const StreamId id = bench.submit(bench.drafting(10, 0, 200));
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], reply_of(bench, 10, 0, id, 200));
  CHECK_EQ(bench.finished[id].usage.completion_tokens, 200);
  CHECK(bench.decoder.decodes < 100);
  const Timings& timings = bench.finished[id].timings;
  CHECK(timings.accepted_tokens > 100 && timings.accepted_tokens <= timings.drafted_tokens);
  CHECK_EQ(bench.stats.accepted_tokens.load(), timings.accepted_tokens);
  CHECK_EQ(bench.stats.drafted_tokens.load(), timings.drafted_tokens);
  CHECK_EQ(bench.stats.generated_tokens.load(), 200);
}

TEST("drafts that are wrong now and then change no text, of many streams, with ends of text and more streams than slots") {
  for (const int wrong : {1, 2, 5}) {
    DraftBench bench(3);
    bench.decoder.sleep_us = 40;
    bench.decoder.model.end_one_in = 60;
    bench.decoder.draft_wrong_one_in = wrong;
    std::vector<StreamId> ids;
    for (int i = 0; i < 12; i++) ids.push_back(bench.submit(bench.drafting(5 + i * 9, i, 90)));
    bench.run_until_idle();
    for (size_t i = 0; i < ids.size(); i++) {
      const int salt = static_cast<int>(i);
      CHECK_EQ(bench.text[ids[i]], reply_of(bench, 5 + salt * 9, salt, ids[i], 90));
      CHECK_EQ(bench.ends[ids[i]], 1);
    }
    CHECK_EQ(bench.stats.free_slots.load(), 3);
  }
}

TEST("a stream whose drafts are always wrong is left alone but for a few tries") {
  DraftBench bench;
  bench.decoder.draft_wrong_one_in = 1;
  const StreamId id = bench.submit(bench.drafting(10, 0, 240));
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], reply_of(bench, 10, 0, id, 240));
  CHECK_EQ(bench.finished[id].timings.accepted_tokens, 0);
  CHECK(bench.finished[id].timings.drafted_tokens < 100);
}

TEST("a reader is given no more with drafts than its credit, and its text is whole") {
  DraftBench bench;
  bench.decoder.draft_wrong_one_in = 7;
  auto slow = bench.drafting(10, 0, 150);
  slow.settings.high_water_mark = 5;
  const StreamId id = bench.submit(std::move(slow));
  int acked = 0;
  for (int i = 0; i < 2000 && bench.ends[id] == 0; i++) {
    bench.run_until_idle();
    const int news = bench.text_tokens[id] - acked;
    CHECK(news <= 8);  // one text may carry a code point's tokens
    acked += news;
    if (bench.ends[id] == 0) REQUIRE(news > 0);
    bench.inbox.push(AckCommand{id, news});
  }
  CHECK_EQ(bench.text[id], reply_of(bench, 10, 0, id, 150));
  CHECK(bench.finished[id].timings.accepted_tokens > 0);
}

TEST("a parked stream that drafts lends its slot and goes on where it was, with and without room for its image") {
  for (const uint64_t ram : {uint64_t{1} << 20, uint64_t{2000}}) {
    SchedulerOptions options;
    options.lend_after = Clock::duration::zero();
    PromptCacheOptions cache;
    cache.ram_bytes = ram;
    DraftBench bench(1, 256, options, cache);
    bench.decoder.draft_wrong_one_in = 5;
    check_slow_readers(bench);
  }
}

TEST("a stop string in the middle of a draft ends the reply there, and the next stream's text is right") {
  DraftBench bench(1);
  const std::string whole = reply_of(bench, 10, 0, 1, 200);
  auto stopped = bench.drafting(10, 0, 200);
  size_t from = whole.size() / 2;
  while (std::any_of(&whole[from], &whole[from] + 5, [](char c) { return c < 'a' || c > 'z'; })) from++;
  const std::string stop = whole.substr(from, 5);
  stopped.prepared.stops = {stop};
  const StreamId a = bench.submit(std::move(stopped));
  const StreamId b = bench.submit(bench.drafting(10, 0, 100));
  bench.run_until_idle();
  CHECK_EQ(bench.text[a], whole.substr(0, whole.find(stop)));
  CHECK(bench.finished[a].reason == FinishReason::kStop);
  CHECK_EQ(bench.text[b], reply_of(bench, 10, 0, b, 100));
}

TEST("log-probabilities and token ids are told of drafted tokens as of others") {
  DraftBench bench;
  auto told = bench.drafting(10, 0, 60);
  told.settings.sampling.logprobs = true;
  told.settings.tell_tokens = true;
  const StreamId id = bench.submit(std::move(told));
  bench.run_until_idle();
  REQUIRE(bench.drawn[id].size() == 60);
  REQUIRE(bench.logprobs[id].size() == 60);
  for (size_t i = 0; i < 60; i++) CHECK_EQ(bench.logprobs[id][i].chosen.token, bench.drawn[id][i]);
  CHECK(bench.finished[id].timings.accepted_tokens > 0);
}

TEST("a reply that drafted and was lost is given again from its start, and drafts on") {
  DraftBench first;
  auto lost = first.drafting(40, 0, 150);
  lost.settings.tell_tokens = true;
  lost.settings.high_water_mark = 60;
  const StreamId before = first.submit(std::move(lost));
  first.run_until_idle();
  DraftBench second;
  auto again = second.drafting(40, 0, 150);
  again.settings.replay = first.drawn[before];
  const StreamId id = second.submit(std::move(again));
  second.run_until_idle();
  CHECK(first.drawn[before].size() >= 50);
  CHECK_EQ(second.text[id], reply_of(second, 40, 0, id, 150));
  CHECK(second.finished[id].timings.accepted_tokens > 0);
}

TEST("nothing is drafted in deterministic mode, nor where memory cannot be cut, nor for a stream that does not want it") {
  SchedulerOptions options;
  options.deterministic = true;
  DraftBench exact(4, 256, options), recurrent(4, 256, {}, {}, false), unwanted;
  for (DraftBench* bench : {&exact, &recurrent, &unwanted}) {
    auto request = bench->drafting(10, 0, 60);
    if (bench == &unwanted) request.settings.draft_tokens = 0;
    const StreamId id = bench->submit(std::move(request));
    bench->run_until_idle();
    CHECK_EQ(bench->text[id], reply_of(*bench, 10, 0, id, 60));
    CHECK_EQ(bench->finished[id].timings.drafted_tokens, 0);
  }
}

TEST("memory that keeps a few of its latest states is guessed for as many tokens, and no text changes") {
  DraftBench bench(3, 256, {}, {}, false);
  bench.decoder.states_kept = 3;  // the fake looks that no more are taken back
  bench.decoder.draft_wrong_one_in = 3;
  check_slow_readers(bench);
  CHECK(bench.stats.accepted_tokens.load() < bench.stats.drafted_tokens.load());
}

TEST("a stream whose guesses cannot be taken back ends with an error, and the others go on") {
  DraftBench bench(3, 256, {}, {}, false);
  bench.decoder.states_kept = 8;
  bench.decoder.draft_wrong_one_in = 3;
  const StreamId other = bench.submit([&] {
    auto plain = bench.request(make_prompt(12, 5));
    plain.settings.max_tokens = 60;
    return plain;
  }());
  bench.decoder.cannot_take_back = true;
  const StreamId id = bench.submit(bench.drafting(10, 0, 100));
  bench.run_until_idle();
  REQUIRE(bench.failed.count(id) == 1);
  CHECK_EQ(bench.failed[id].code, "ENGINE_FAILED");
  CHECK_EQ(bench.text[other], reply_of(bench, 12, 5, other, 60));
}

TEST("a step with drafts keeps to the latency target, as far as is known") {
  RowCost cost;
  for (int rows = 1; rows <= 40; rows++) cost.record(rows, 10 + 4 * rows);
  const auto chosen = [&](double target_ms) { return choose_drafts({{32, 0.98}}, 1, 32, cost, target_ms).lengths[0]; };
  CHECK_EQ(chosen(45), 7);
  CHECK(chosen(1000) > 10);
  // A step without drafts that takes longer than the target by itself: one with them takes twice as long at most.
  CHECK_EQ(chosen(10), 3);
}

TEST("where every row takes as long as the first one nothing is drafted, and where rows are free the likeliest are") {
  RowCost dear, cheap;
  for (int rows = 1; rows <= 40; rows++) {
    dear.record(rows, 10.0 * rows);
    cheap.record(rows, 10.0);
  }
  CHECK_EQ(choose_drafts({{16, 0.95}, {16, 0.9}}, 2, 16, dear, 1000).lengths[0], 0);
  const std::vector<int> lengths = choose_drafts({{16, 0.5}, {16, 0.95}}, 2, 16, cheap, 1000).lengths;
  CHECK_EQ(lengths[0] + lengths[1], 16);
  CHECK(lengths[1] > lengths[0]);
}

TEST("what a step of more rows takes is learned from those that were seen, and one slow step is not believed") {
  RowCost cost;
  CHECK_EQ(cost.of(3), 0.0);
  cost.record(1, 10);
  cost.record(5, 18);
  CHECK_EQ(cost.of(3), 14.0);
  for (int i = 0; i < 3; i++) cost.record(3, 60'000);
  CHECK(cost.of(3) <= 18);
  cost.record_bulk(2);
  CHECK_EQ(cost.of(7), 22.0);
}

TEST("a slow machine is taken for slow whatever the rows, and what one slow step made dear is forgotten") {
  RowCost cost;
  cost.record_bulk(2);
  cost.record(8, 70);
  cost.record(16, 900);
  CHECK(cost.of(16) <= 130);  // 86 by what is known of rows
  for (int i = 0; i < 65; i++) cost.record(8, 70);
  CHECK_EQ(cost.of(16), 86.0);
  cost.record(16, 90);
  for (int i = 0; i < 20; i++) cost.record(8, 140);
  CHECK(cost.of(8) > 130);
  CHECK(cost.of(16) > 120);
}

TEST("streams that end soon are not read for guesses: that would take longer than they") {
  for (const bool dear : {false, true}) {
    ModelBench bench(8);
    bench.draft_model.read_us = dear ? 300 : 0;
    std::vector<StreamId> ids;
    for (int i = 0; i < 8; i++) ids.push_back(bench.submit(bench.drafting(100, i, 40)));
    bench.run_until_idle();
    for (int i = 0; i < 8; i++) CHECK_EQ(bench.text[ids[i]], reply_of(bench, 100, i, ids[i], 40));
    // The one that is tried is read in either case, and another when that is paid for.
    if (dear) CHECK(bench.draft_model.read_tokens < 400);
    if (!dear) CHECK(bench.draft_model.read_tokens >= 800);
  }
}

TEST("a draft model that is right gives the same text in fewer steps") {
  ModelBench bench;
  const StreamId id = bench.submit(bench.drafting(10, 0, 200));
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], reply_of(bench, 10, 0, id, 200));
  CHECK(bench.decoder.decodes < 100);
  CHECK(bench.draft_model.passes > 10);
  CHECK(bench.finished[id].timings.accepted_tokens > 100);
}

TEST("a draft model that errs, or fails, changes no text of many streams, and keeps nothing that is not so") {
  for (const int wrong : {1, 2, 5, 0}) {
    for (const int fails : {0, 3}) {
      ModelBench bench(3);
      bench.decoder.sleep_us = 40;
      bench.decoder.model.end_one_in = 60;
      bench.draft_model.wrong_one_in = wrong;
      bench.draft_model.fails_one_in = fails;
      bench.draft_model.reach = 30;
      std::vector<StreamId> ids;
      for (int i = 0; i < 12; i++) ids.push_back(bench.submit(bench.drafting(5 + i * 9, i, 90)));
      bench.run_until_idle();
      for (size_t i = 0; i < ids.size(); i++) {
        const int salt = static_cast<int>(i);
        CHECK_EQ(bench.text[ids[i]], reply_of(bench, 5 + salt * 9, salt, ids[i], 90));
        CHECK_EQ(bench.ends[ids[i]], 1);
      }
    }
  }
}

TEST("a draft model whose guesses do not come is left alone but for a few tries") {
  ModelBench bench;
  bench.draft_model.wrong_one_in = 1;
  const StreamId id = bench.submit(bench.drafting(10, 0, 240));
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], reply_of(bench, 10, 0, id, 240));
  CHECK(bench.finished[id].timings.drafted_tokens < 100);
  CHECK(bench.draft_model.passes < 60);
}

TEST("a head that follows the model's steps gives the same text in fewer steps, beside other streams and prompts") {
  for (const int wrong : {0, 5}) {
    ModelBench bench(3);
    bench.draft_model.follows = true;
    bench.draft_model.wrong_one_in = wrong;
    std::vector<StreamId> ids;
    for (int i = 0; i < 9; i++) ids.push_back(bench.submit(bench.drafting(5 + i * 9, i, 100)));
    bench.run_until_idle();
    int accepted = 0;
    for (size_t i = 0; i < ids.size(); i++) {
      const int salt = static_cast<int>(i);
      CHECK_EQ(bench.text[ids[i]], reply_of(bench, 5 + salt * 9, salt, ids[i], 100));
      accepted += bench.finished[ids[i]].timings.accepted_tokens;
    }
    CHECK(accepted > 50);
  }
}

TEST("a head whose guesses do not come neither guesses nor follows, but for a few tries") {
  ModelBench bench(4, 1024);
  bench.draft_model.follows = true;
  bench.draft_model.wrong_one_in = 1;
  auto r = bench.drafting(10, 0, 900);
  r.settings.high_water_mark = INT_MAX;
  const StreamId id = bench.submit(std::move(r));
  bench.run_until_idle();
  const auto reply = bench.decoder.model.reply(make_prompt(10, 0), static_cast<uint32_t>(id), 900, 1024);
  CHECK_EQ(bench.text[id], repair_utf8(reply.bytes));
  CHECK(bench.draft_model.passes > 0);
  CHECK(bench.draft_model.passes < 60);
  CHECK(bench.draft_model.followed < 120);
}

TEST("a slow reader's stream that a draft model guesses for lends its slot, and goes on where it was") {
  SchedulerOptions options;
  options.lend_after = Clock::duration::zero();
  ModelBench bench(1, 256, options);
  check_slow_readers(bench);
}

TEST("what is looked up comes before what a draft model would guess, which takes time") {
  DraftBench bench(4, 256, {}, {}, true, true);
  const StreamId id = bench.submit(bench.drafting(10, 0, 200));
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], reply_of(bench, 10, 0, id, 200));
  CHECK_EQ(bench.draft_model.passes, 0);
  CHECK(bench.finished[id].timings.accepted_tokens > 100);
}

TEST("one slow step, when nothing else is known, does not end guessing") {
  for (const bool by_model : {false, true}) {
    DraftBench bench(4, 512, {}, {}, true, by_model);
    bench.decoder.looks_up = !by_model;
    auto r = bench.drafting(10, 0, 300);
    r.settings.high_water_mark = INT_MAX;
    bench.decoder.sleep_us = 40'000;  // of the prompt
    const StreamId id = bench.submit(std::move(r));
    while (bench.decoder.decodes < 1) bench.step();
    bench.decoder.sleep_us = 400;
    bench.run_until_idle();
    CHECK(bench.finished[id].timings.accepted_tokens > 0);
  }
}

TEST("what a caller expects of a reply is guessed from first, however good a draft model has been") {
  ModelBench bench;
  bench.submit(bench.drafting(10, 0, 200));
  bench.run_until_idle();
  const int passes = bench.draft_model.passes;
  CHECK(passes > 0);
  bench.decoder.looks_up = bench.decoder.predicts = true;
  auto predicted = bench.drafting(10, 1, 200);
  predicted.prepared.prediction = {1};  // the fake drafter knows better
  const StreamId id = bench.submit(std::move(predicted));
  bench.run_until_idle();
  CHECK_EQ(bench.text[id], reply_of(bench, 10, 1, id, 200));
  CHECK_EQ(bench.draft_model.passes, passes);
  CHECK(bench.finished[id].usage.accepted_prediction_tokens > 100);
}

TEST("a prediction is tried once in the shortest reply, although the only step before it was slow, of many streams too") {
  for (const int streams : {1, 3}) {
    DraftBench bench;
    bench.decoder.predicts = true;
    bench.decoder.sleep_us = 40'000;  // of the prompts: a row of them seems dearer than a step
    std::vector<StreamId> ids;
    for (int i = 0; i < streams; i++) {
      auto predicted = bench.drafting(64, i, 6);
      predicted.prepared.prediction = {1};  // the fake drafter knows better
      ids.push_back(bench.submit(std::move(predicted)));
    }
    while (bench.text_tokens[ids.back()] < 1) bench.step();
    bench.decoder.sleep_us = 400;
    bench.run_until_idle();
    for (int i = 0; i < streams; i++) {
      CHECK(bench.finished[ids[i]].timings.drafted_tokens > 0);
      CHECK_EQ(bench.text[ids[i]], reply_of(bench, 64, i, ids[i], 6));
    }
  }
}

TEST("what is looked up is tried again where a draft model was better, since a text that was new may repeat itself") {
  DraftBench bench(4, 4096, {}, {}, true, true);
  bench.decoder.draft_wrong_one_in = 1;
  auto r = bench.drafting(10, 0, 2000);
  r.settings.high_water_mark = INT_MAX;
  const StreamId id = bench.submit(std::move(r));
  while (bench.text_tokens[id] < 100) bench.step();
  const int passes = bench.draft_model.passes;
  CHECK(passes > 0);
  bench.decoder.draft_wrong_one_in = 0;
  bench.run_until_idle();
  const auto reply = bench.decoder.model.reply(make_prompt(10, 0), static_cast<uint32_t>(id), 2000, 4096);
  CHECK_EQ(bench.text[id], repair_utf8(reply.bytes));
  CHECK(bench.draft_model.passes - passes < 120);  // of 1,900 tokens in steps of nine
}

TEST(
    "a draft model that takes as long as the model itself is not asked, and a quick one is asked for many streams at once") {
  RowCost cost, slow, quick;
  for (int rows = 1; rows <= 40; rows++) {
    cost.record(rows, 20 + 0.5 * rows);
    slow.record(rows, 20);
    quick.record(rows, 2);
  }
  const DraftOffer offer{16, 0.9, true};
  CHECK_EQ(choose_drafts({offer}, 1, 16, cost, 1000, slow).lengths[0], 0);
  const int alone = choose_drafts({offer}, 1, 16, cost, 1000, quick).lengths[0];
  CHECK(alone >= 3);
  const std::vector<int> both = choose_drafts({offer, offer}, 2, 16, cost, 1000, quick).lengths;
  CHECK(both[0] >= alone - 1 && both[1] >= alone - 1);
  // What they take counts towards the latency target.
  RowCost even;
  for (int rows = 1; rows <= 40; rows++) even.record(rows, 20);
  const DraftOffer sure{16, 0.98, true};
  CHECK_EQ(choose_drafts({sure}, 1, 16, even, 46, quick).lengths[0], 13);
  CHECK_EQ(choose_drafts({sure}, 1, 16, even, 1000, quick).lengths[0], 16);
}

TEST("what a draft model did for one stream is known of the next one") {
  ModelBench bench;
  bench.draft_model.wrong_one_in = 1;
  const StreamId first = bench.submit(bench.drafting(10, 0, 240));
  bench.run_until_idle();
  const int before = bench.draft_model.passes;
  std::vector<StreamId> others;
  for (int i = 1; i <= 8; i++) others.push_back(bench.submit(bench.drafting(100, i, 60)));
  const size_t read = bench.draft_model.read_tokens;
  bench.run_until_idle();
  CHECK(bench.finished[first].timings.drafted_tokens > 0);
  CHECK(bench.draft_model.passes - before < 8);
  CHECK(bench.draft_model.read_tokens - read < 300);  // of 800 and their replies
}
