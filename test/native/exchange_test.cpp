// A reader that comes back to full RAM and parked slots gets its turn: images change places, and where RAM has no room for that either, what a
// paused stream had is computed again. Nobody's stream is lost, and no step looks at those that merely wait.
#include <algorithm>
#include <thread>

#include "bench.h"
#include "check.h"
#include "fake_decoder.h"

using namespace zse;

namespace {

constexpr int kMark = 4;  // unread tokens at which a stream parks; a text may carry a few more

PromptCacheOptions with_ram(uint64_t bytes, bool enabled = true) {
  PromptCacheOptions o;
  o.enabled = enabled;
  o.ram_bytes = bytes;
  return o;
}

SchedulerOptions lending(bool in_pieces = false) {
  SchedulerOptions o;
  o.lend_after = Clock::duration::zero();
  if (in_pieces) {
    o.copy_time = Clock::duration::zero();
    o.copied_at_once = 0;
  }
  return o;
}

size_t image_of(int tokens) { return static_cast<size_t>(tokens) * 3 * sizeof(Token); }

/** Readers that all pause: some in slots, some in RAM, until neither has room. */
struct Crowd {
  Bench bench;
  std::vector<StreamId> readers;
  std::map<StreamId, std::vector<Token>> prompts;
  std::map<StreamId, int> read;

  Crowd(int slots, PromptCacheOptions cache, SchedulerOptions scheduling = lending(), bool cuttable = true)
      : bench(slots, 1000, scheduling, 512, cache, cuttable) {
    bench.decoder.model.end_one_in = 0;
  }

  StreamId come(int length, int max_tokens = 0) {
    auto request = bench.request(make_prompt(length, static_cast<int>(bench.last_id) + 1));
    request.settings.high_water_mark = kMark;
    request.settings.max_tokens = max_tokens;
    const std::vector<Token> prompt = request.prepared.prompt.tokens();
    const StreamId id = bench.submit(std::move(request));
    prompts[id] = prompt;
    readers.push_back(id);
    return id;
  }
  void come_back(StreamId id) {
    const int news = bench.text_tokens[id] - read[id];
    read[id] += news;
    bench.inbox.push(AckCommand{id, news});
  }
  /** True when the reader gets something new within so many steps. */
  bool gets_on(StreamId id, int steps = 400) {
    const int before = bench.text_tokens[id];
    come_back(id);
    for (int i = 0; i < steps && bench.text_tokens[id] == before && bench.ends[id] == 0; i++) bench.step();
    return bench.text_tokens[id] > before || bench.ends[id] == 1;
  }
  void check_texts() {
    for (const StreamId id : readers) {
      const std::string whole =
          repair_utf8(bench.decoder.model.reply(prompts[id], static_cast<uint32_t>(id), 900, 1000).bytes);
      CHECK_EQ(whole.compare(0, bench.text[id].size(), bench.text[id]), 0);
    }
  }
  void end() {
    for (const StreamId id : readers) bench.cancel(id);
    bench.run_until_idle();
    CHECK_EQ(bench.stats.spilled_bytes.load(), 0);
    CHECK_EQ(bench.stats.free_slots.load(), bench.decoder.max_slots());
    for (const StreamId id : readers) CHECK_EQ(bench.ends[id], 1);
  }
};

}  // namespace

TEST("a reader that comes back to full RAM and parked slots gets its turn, its image and another's changing places") {
  for (const int slots : {1, 4}) {
    for (const int images : {1, 3}) {
      Crowd crowd(slots, with_ram(image_of(120) * static_cast<size_t>(images), images == 3));
      for (int i = 0; i < slots + images + 2; i++) crowd.come(100);
      crowd.bench.run_until_idle();
      CHECK_EQ(crowd.bench.stats.spilled.load(), images);
      CHECK_EQ(crowd.bench.stats.queued.load(), 2);  // RAM is full: nobody new comes in
      for (int round = 0; round < 5; round++) {
        for (int i = 0; i < slots + images; i++) CHECK(crowd.gets_on(crowd.readers[i]));
      }
      CHECK_EQ(crowd.bench.stats.spilled.load(), images);
      CHECK_EQ(crowd.bench.stats.queued.load(), 2);
      crowd.check_texts();
      crowd.end();
    }
  }
}

TEST("images change places between the steps of a stream that flows, also if a reader leaves or comes back meanwhile") {
  for (const int meanwhile : {0, 1, 2, 3}) {
    Crowd crowd(2, with_ram(image_of(330)), lending(true));
    const StreamId first = crowd.come(300);
    crowd.bench.run_until_idle();
    const StreamId flowing = crowd.bench.submit(crowd.bench.request(make_prompt(20, 50)));
    const StreamId second = crowd.come(300);  // takes the first one's slot
    for (int i = 0; i < 300 && crowd.bench.text_tokens[second] < kMark; i++) crowd.bench.step();
    REQUIRE(crowd.bench.stats.spilled == 1);
    crowd.bench.decoder.copy_tokens = 10;  // an image takes thirty steps
    crowd.come_back(first);
    const int before = crowd.bench.text_tokens[first];
    for (int i = 0; i < 300 && crowd.bench.text_tokens[first] == before; i++) {
      const int64_t generated = crowd.bench.stats.generated_tokens;
      crowd.bench.step();
      CHECK(crowd.bench.stats.generated_tokens > generated);  // somebody gets a token in every step
      if (i != 10 && i != 45) continue;
      if (meanwhile == 1 && i == 10) crowd.come_back(second);  // keeps its slot, until it pauses again
      if (meanwhile == 2 && i == 10) crowd.bench.cancel(second);
      if (meanwhile == 3) crowd.bench.cancel(first);
    }
    if (meanwhile != 3) CHECK(crowd.bench.text_tokens[first] > before);
    CHECK(static_cast<size_t>(crowd.bench.stats.spilled_bytes) <= image_of(330));
    crowd.check_texts();
    crowd.bench.cancel(flowing);
    crowd.end();
  }
}

TEST("RAM keeps within its limit and one image more while the streams in it grow; what has no room is computed again") {
  for (const bool cuttable : {true, false}) {
    for (const bool deterministic : {false, true}) {
      SchedulerOptions scheduling = lending();
      scheduling.deterministic = deterministic;
      Crowd crowd(2, with_ram(image_of(30) * 6), scheduling, cuttable);
      for (int i = 0; i < 8; i++) crowd.come(20, 300);
      crowd.bench.run_until_idle();
      CHECK_EQ(crowd.bench.stats.spilled.load(), 6);
      size_t most = 0;
      for (int round = 0; round < 400; round++) {
        for (const StreamId id : crowd.readers) {
          if (crowd.bench.ends[id] == 0) CHECK(crowd.gets_on(id));
          most = std::max(most, static_cast<size_t>(crowd.bench.stats.spilled_bytes));
        }
      }
      for (const StreamId id : crowd.readers) {
        CHECK_EQ(crowd.bench.ends[id], 1);
        const auto reply = crowd.bench.decoder.model.reply(crowd.prompts[id], static_cast<uint32_t>(id), 300, 1000);
        CHECK_EQ(crowd.bench.text[id], repair_utf8(reply.bytes));
        CHECK_EQ(crowd.bench.finished[id].usage.cached_tokens, 0);
      }
      CHECK(crowd.bench.stats.recomputed > 0);
      CHECK(most <= image_of(30) * 6 + image_of(320));
      crowd.end();
    }
  }
}

TEST("with RAM for no image no slot is lent, and nobody's stream is lost") {
  for (const bool enabled : {true, false}) {
    Crowd crowd(1, with_ram(100, enabled));
    const StreamId first = crowd.come(100, 20), second = crowd.come(100, 20);
    crowd.bench.run_until_idle();
    CHECK_EQ(crowd.bench.stats.spills.load(), 0);
    for (int i = 0; i < 40; i++) {
      for (const StreamId id : {first, second}) crowd.come_back(id);
      crowd.bench.run_until_idle();
    }
    CHECK_EQ(crowd.bench.ends[first] + crowd.bench.ends[second], 2);
    crowd.check_texts();
    crowd.end();
  }
}

TEST(
    "a stream that is computed again can be cancelled, and its reply is computed as it was: token by token where texts must "
    "not depend on it") {
  SchedulerOptions scheduling = lending();
  scheduling.deterministic = true;
  Crowd crowd(1, with_ram(image_of(40)), scheduling);
  const StreamId first = crowd.come(30), second = crowd.come(30);
  crowd.bench.run_until_idle();
  CHECK_EQ(crowd.bench.stats.spilled.load(), 1);
  crowd.bench.decoder.load_fails = true;
  for (int i = 0; i < 10; i++) CHECK(crowd.gets_on(second) && crowd.gets_on(first));
  crowd.bench.run_until_idle();
  crowd.bench.decoder.record = true;
  crowd.come_back(second);
  for (int i = 0; i < 8; i++) crowd.bench.step();
  CHECK_EQ(crowd.bench.decoder.history.front().size(), 30u);
  for (size_t i = 1; i < crowd.bench.decoder.history.size(); i++) CHECK_EQ(crowd.bench.decoder.history[i].size(), 1u);
  CHECK_EQ(crowd.bench.stats.prefilling.load(), 1);
  crowd.bench.cancel(second);
  crowd.bench.run_until_idle();
  CHECK_EQ(crowd.bench.ends[second], 1);
  CHECK(crowd.gets_on(first));
  crowd.check_texts();
  crowd.end();
}

// ---- what merely waits -----------------------------------------------------------------------------------------------

TEST("a step looks at the sequences that are in it, however many are queued, parked or spilled") {
  const auto visited_by_step = [](Bench& bench) {
    const uint64_t before = bench.scheduler.visited();
    for (int i = 0; i < 10; i++) bench.step();
    return (bench.scheduler.visited() - before) / 10;
  };
  {
    Bench bench(4, 1000);
    bench.decoder.model.end_one_in = 0;
    for (int i = 0; i < 4; i++) bench.submit(10);
    for (int i = 0; i < 20; i++) bench.step();
    const uint64_t alone = visited_by_step(bench);
    for (int i = 0; i < 35000; i++) bench.submit(10);
    bench.step();
    CHECK(visited_by_step(bench) <= alone + 2);
    bench.cancel(bench.last_id);
    const uint64_t before = bench.scheduler.visited();
    bench.step();
    CHECK(bench.scheduler.visited() - before <= alone + 3);
    CHECK_EQ(bench.ends[bench.last_id], 1);
  }
  Bench bench(8, 1000, lending(), 64, with_ram(1 << 30, false));
  bench.decoder.model.end_one_in = 0;
  for (int i = 0; i < 3000; i++) {
    auto request = bench.request(make_prompt(5, i));
    request.settings.high_water_mark = 2;
    request.settings.stall_timeout_ms = 1000000;
    bench.submit(std::move(request));
  }
  for (int i = 0; i < 20000 && bench.stats.parked < 3000; i++) bench.step();
  CHECK_EQ(bench.stats.spilled.load(), 2992);
  for (int i = 0; i < 4; i++) bench.submit(10);
  for (int i = 0; i < 20; i++) bench.step();
  CHECK_EQ(bench.stats.decoding.load(), 4);
  CHECK(visited_by_step(bench) <= 8 * 4);

  Bench full(200, 1000, lending(), 256, with_ram(100));  // no image fits, and one who waits asks in each step
  full.decoder.model.end_one_in = 0;
  for (int i = 0; i < 198; i++) {
    auto request = full.request(make_prompt(100, i));
    request.settings.high_water_mark = 2;
    full.submit(std::move(request));
  }
  full.run_until_idle();
  CHECK_EQ(full.stats.parked.load(), 198);
  for (int i = 0; i < 3; i++) full.submit(10);
  for (int i = 0; i < 20; i++) full.step();
  CHECK_EQ(full.stats.queued.load(), 1);
  CHECK(visited_by_step(full) <= 20);
}
