#include "schedule/embeddings.h"

#include <algorithm>
#include <set>

#include "bench.h"
#include "check.h"

using namespace zse;

namespace {

std::vector<std::vector<Token>> texts_of(const std::vector<int>& lengths) {
  std::vector<std::vector<Token>> texts;
  for (size_t i = 0; i < lengths.size(); i++) texts.push_back(make_prompt(lengths[i], static_cast<int>(i) + 100));
  return texts;
}

std::vector<float> expected(const std::vector<std::vector<Token>>& texts, const VectorShape& shape = {}) {
  std::vector<float> all;
  for (const auto& text : texts) {
    const auto vector = FakeEmbedder::vector_of(text, shape);
    all.insert(all.end(), vector.begin(), vector.end());
  }
  return all;
}

std::vector<float> flat(const VectorsAnswer& answer) {
  std::vector<float> all;
  for (const auto& vector : answer.vectors) all.insert(all.end(), vector.begin(), vector.end());
  return all;
}

}  // namespace

TEST("each text has its own vector, in the order asked, however they are cut and put together") {
  for (const bool cuttable : {true, false}) {
    Bench bench;
    bench.embedder.cuttable = cuttable;
    const auto texts = texts_of({3, 32, 1, 30, 7, 7, 20, 31, 2});
    const uint32_t question = bench.embed(texts);
    bench.run_until_idle();
    CHECK_EQ(bench.answers[question], 1);
    CHECK_EQ(bench.answers_heard[question], 1);
    CHECK(flat(bench.vectors[question]) == expected(texts));
    CHECK_EQ(bench.vectors[question].width, FakeEmbedder::kWidth);
    CHECK_EQ(bench.vectors[question].tokens.size(), texts.size());
    CHECK_EQ(bench.vectors[question].tokens[3], 30);
    CHECK(bench.embedder.all_places_empty());
    CHECK_EQ(bench.stats.embedding.load(), 0);
    CHECK_EQ(bench.stats.embedded_tokens.load(), int64_t{133});
  }
}

TEST("a vector is cut to the dimensions that are asked for, and normalised where that is asked for") {
  Bench bench;
  const auto texts = texts_of({5, 9});
  const uint32_t cut = bench.embed(texts, {2, true}), plain = bench.embed(texts, {0, false});
  bench.run_until_idle();
  CHECK(flat(bench.vectors[cut]) == expected(texts, {2, true}));
  CHECK_EQ(bench.vectors[cut].width, 2);
  CHECK(flat(bench.vectors[plain]) == expected(texts, {0, false}));
}

TEST("a text longer than a piece is computed in pieces, one that cannot be cut in one") {
  Bench whole;
  whole.embedder.batch = 90;
  whole.embedder.cuttable = false;
  whole.embed(texts_of({90}));
  whole.run_until_idle();
  CHECK_EQ(whole.embedder.history.size(), size_t{1});
  Bench cut;
  cut.embed(texts_of({90}));
  cut.run_until_idle();
  CHECK_EQ(cut.embedder.history.size(), size_t{3});
}

TEST("a question of one text does not wait for all those of a question of many") {
  Bench bench;
  bench.embed(texts_of(std::vector<int>(60, 20)));
  bench.step();
  const uint32_t small = bench.embed(texts_of({20}));
  int steps = 0;
  while (bench.answers[small] == 0 && steps < 100) bench.step(), steps++;
  CHECK_EQ(bench.answers[small], 1);
  CHECK(steps <= 6);  // behind the texts that were under way, and one more
}

TEST("embedding changes no stream's text") {
  for (const bool deterministic : {false, true}) {
    SchedulerOptions options;
    options.deterministic = deterministic;
    Bench bench(4, 256, options);
    std::vector<StreamId> ids;
    for (int i = 0; i < 6; i++) {
      ids.push_back(bench.submit(5 + i * 9));
      bench.embed(texts_of({40, 3, 60}));
      for (int step = 0; step < 3; step++) bench.step();
    }
    bench.run_until_idle();
    for (size_t i = 0; i < ids.size(); i++) {
      CHECK_EQ(bench.text[ids[i]], bench.expected(ids[i], 5 + static_cast<int>(i) * 9));
    }
    CHECK_EQ(bench.vectors.size(), size_t{6});
  }
}

TEST("beside streams that decode, a piece is as large as the step has room for, and no larger") {
  SchedulerOptions options;
  options.latency_target_ms = 20;
  Bench bench(4, 100000, options);
  bench.decoder.model.end_one_in = 0;
  bench.decoder.sleep_us = 2000;
  bench.embedder.tokens = 100000;
  bench.embedder.batch = 512;
  bench.embedder.us_per_token = 200;
  bench.submit(10);
  for (int i = 0; i < 20; i++) bench.step();
  bench.embed(texts_of({4000}));
  for (int i = 0; i < 30; i++) bench.step();
  // 20 ms × 0.9 - 2 × 2 ms leave 14 ms; a token takes 0.2 ms and more where the machine is busy.
  const auto& pieces = bench.embedder.history;
  REQUIRE(pieces.size() > 10);
  CHECK(pieces[0].size() <= 16);
  for (size_t i = 8; i < pieces.size(); i++) CHECK(pieces[i].size() <= 90);
}

TEST("where a step has no room at all, texts move all the same, and every second step is the streams' own") {
  SchedulerOptions options;
  options.latency_target_ms = 1;
  Bench bench(4, 100000, options);
  bench.decoder.model.end_one_in = 0;
  bench.decoder.sleep_us = 2000;
  bench.submit(10);
  for (int i = 0; i < 20; i++) bench.step();
  bench.embed(texts_of({90}));
  bench.step();  // what a token takes is not known yet
  const size_t before = bench.embedder.history.size();
  for (int i = 0; i < 10; i++) bench.step();
  CHECK_EQ(bench.embedder.history.size() - before, size_t{5});
  CHECK_EQ(bench.embedder.history.back().size(), static_cast<size_t>(StepCost::kMinPiece));
}

TEST("in deterministic mode a text is computed alone, in the same pieces whatever else there is") {
  SchedulerOptions options;
  options.deterministic = true;
  Bench bench(4, 256, options);
  bench.embed(texts_of({40, 3}));
  bench.embed(texts_of({50}));
  bench.submit(10);
  bench.run_until_idle();
  for (const Batch& batch : bench.embedder.history) {
    std::set<SlotId> places;
    for (const BatchToken& token : batch) places.insert(token.slot);
    CHECK_EQ(places.size(), size_t{1});
  }
  CHECK_EQ(bench.embedder.history.size(), size_t{5});  // 32 + 8, 3, 32 + 18
}

TEST("a question that nobody waits for is answered at once, in whatever state, and its places come free") {
  Bench bench;
  const uint32_t first = bench.embed(texts_of({30, 30, 30})), second = bench.embed(texts_of({9})),
                 third = bench.embed(texts_of({9}));
  bench.questions[third]->withdrawn = true;  // before it came in; its command comes after it
  bench.step();
  CHECK_EQ(bench.refused[third].code, "ABORTED");
  bench.withdraw(first);                  // under way
  bench.inbox.push(WithdrawCommand{77});  // of nobody
  bench.run_until_idle();
  CHECK_EQ(bench.refused[first].code, "ABORTED");
  CHECK_EQ(bench.answers[first], 1);
  CHECK_EQ(flat(bench.vectors[second]).size(), size_t{FakeEmbedder::kWidth});
  CHECK(bench.embedder.all_places_empty());
  CHECK_EQ(bench.stats.embedding.load(), 0);
}

TEST("a piece of a question that is withdrawn meanwhile ends early, and others lose one at most") {
  Bench bench;
  const uint32_t leaves = bench.embed(texts_of({20})), stays = bench.embed(texts_of({10}));
  int aborted = 0;
  bench.embedder.during_compute = [&] {
    if (aborted++ == 0) bench.withdraw(leaves);
  };
  bench.run_until_idle();
  CHECK_EQ(bench.refused[leaves].code, "ABORTED");
  CHECK(flat(bench.vectors[stays]) == expected(texts_of({10})));
  CHECK_EQ(bench.embedder.history.size(), size_t{1});
}

TEST("whatever fails, each question is answered once, and the next one works") {
  struct Case {
    std::function<void(FakeEmbedder&)> break_it;
    bool second_too;
  };
  const std::vector<Case> cases = {{[](FakeEmbedder& e) { e.fail_compute = 0; }, true},
                                   {[](FakeEmbedder& e) { e.throw_compute = 0; }, true},
                                   {[](FakeEmbedder& e) { e.not_a_number = texts_of({4, 4})[1][0]; }, false}};
  for (const Case& one : cases) {
    Bench bench;
    one.break_it(bench.embedder);
    const uint32_t first = bench.embed(texts_of({4, 4, 4, 4})), second = bench.embed({{1, 1, 1}});
    bench.run_until_idle();
    CHECK_EQ(bench.refused[first].code, "ENGINE_FAILED");
    CHECK_EQ(bench.answers[first], 1);
    CHECK_EQ(bench.answers[second], 1);
    if (!one.second_too) CHECK_EQ(bench.refused.count(second), size_t{0});
    const uint32_t third = bench.embed({{1, 1}});
    bench.run_until_idle();
    CHECK_EQ(flat(bench.vectors[third]).size(), size_t{FakeEmbedder::kWidth});
    CHECK(bench.embedder.all_places_empty());
  }
}

TEST("closing answers every question with CLOSED") {
  Bench bench;
  const uint32_t running = bench.embed(texts_of({30, 30})), waiting = bench.embed(texts_of({9}));
  bench.step();
  const uint32_t in_the_inbox = bench.embed(texts_of({9}));
  bench.inbox.close();
  bench.scheduler.finish_all();
  bench.collect();
  for (const uint32_t question : {running, waiting, in_the_inbox}) {
    CHECK_EQ(bench.answers[question], 1);
    CHECK_EQ(bench.answers_heard[question], 1);
  }
  CHECK_EQ(bench.refused[in_the_inbox].code, "CLOSED");
}
