// A prompt whose beginning changes takes over what follows from where it was computed, where the caller has asked for that: no token is lost, doubled
// or put into the wrong place, and nothing moves under another stream.
#include "bench.h"
#include "check.h"
#include "kv/prefix_cache.h"

using namespace zse;

namespace {

using Tokens = std::vector<Token>;

PromptCacheOptions moving(uint64_t ram = 1 << 20) {
  PromptCacheOptions options;
  options.ram_bytes = ram;
  options.moved = true;
  return options;
}

/** Without a pattern, so that nothing is found twice in it. */
Tokens text(size_t size, uint32_t salt) {
  Tokens tokens;
  uint32_t state = salt * 2654435761u + 1;
  for (size_t i = 0; i < size; i++) {
    state = state * 1664525u + 1013904223u;
    tokens.push_back(1 + static_cast<Token>((state >> 12) % (FakeModel::kVocabulary - 1)));
  }
  return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Tried {
  int computed;  // tokens of the prompt
  FinishEvent finish;
};

StreamId begin(Bench& bench, const Tokens& prompt, int max_tokens = 8) {
  auto request = bench.request(prompt);
  request.settings.max_tokens = max_tokens;
  return bench.submit(std::move(request));
}

void is_right(Bench& bench, StreamId id, const Tokens& prompt, int max_tokens = 8) {
  REQUIRE(bench.ends[id] == 1 && bench.finished.count(id) == 1);
  const auto reply = bench.decoder.model.reply(prompt, static_cast<uint32_t>(id), max_tokens, bench.decoder.context_size());
  CHECK_EQ(bench.text[id], repair_utf8(reply.bytes));
}

Tried tried(Bench& bench, const Tokens& prompt) {
  const int64_t before = bench.stats.prefilled_tokens;
  const StreamId id = begin(bench, prompt);
  bench.run_until_idle();
  is_right(bench, id, prompt);
  return {static_cast<int>(bench.stats.prefilled_tokens - before), bench.finished[id]};
}

}  // namespace

TEST("a changed line at the beginning costs its own tokens, and the prompt's last") {
  Bench bench(2, 2000, {}, 64, moving());
  const Tokens body = text(500, 1);
  tried(bench, text(20, 2) + body + text(1, 3));
  const Tried second = tried(bench, text(25, 4) + body + text(1, 5));
  CHECK(second.computed <= 25 + 1);
  CHECK(second.finish.usage.cached_tokens >= 500);
  REQUIRE(second.finish.timings.prefix.has_value());
  CHECK(second.finish.timings.prefix->moved >= 500);
  CHECK(second.finish.timings.prefix->at < 25);
}

TEST("parts change their order, lines go, and lines come between") {
  Bench bench(2, 2000, {}, 64, moving());
  const Tokens a = text(150, 1), b = text(200, 2), c = text(120, 3);
  tried(bench, text(10, 4) + a + b + c + text(1, 5));
  CHECK(tried(bench, text(10, 6) + c + text(5, 7) + b + a + text(1, 8)).computed <= 16 + 3);
  CHECK(tried(bench, a + c + text(1, 9)).computed <= 1 + 3);
}

TEST("without the option everything behind a changed line is computed anew") {
  Bench bench(2, 2000, {}, 64, {});
  const Tokens body = text(500, 1);
  tried(bench, text(20, 2) + body + text(1, 3));
  const Tried second = tried(bench, text(25, 4) + body + text(1, 5));
  CHECK_EQ(second.computed, 526);
  CHECK_EQ(second.finish.timings.prefix->moved, 0);
}

TEST("what is in RAM is moved, too, and stays there as it was") {
  Bench bench(1, 2000, {}, 64, moving());
  const Tokens body = text(500, 1), first = text(20, 2) + body + text(1, 3);
  tried(bench, first);
  tried(bench, text(900, 9));  // takes the only slot
  CHECK(tried(bench, text(25, 4) + body + text(1, 5)).computed <= 26);
  tried(bench, text(900, 10));
  CHECK(tried(bench, first).computed <= 2);
}

TEST("what a running stream holds is not moved under it, nor what a free slot shares with it") {
  Bench bench(3, 2000, {}, 64, moving());
  bench.decoder.shares = true;
  bench.decoder.model.end_one_in = 0;
  const Tokens body = text(500, 1), prompt = text(20, 2) + body + text(1, 3);
  const StreamId running = begin(bench, prompt, 200);
  for (int i = 0; i < 20; i++) bench.step();
  const StreamId sharing = begin(bench, prompt, 4);  // shares its cells, and ends
  while (bench.ends[sharing] == 0) bench.step();
  is_right(bench, sharing, prompt, 4);
  const Tokens changed = text(25, 4) + body + text(1, 5);
  const StreamId other = begin(bench, changed, 4);
  bench.run_until_idle();
  is_right(bench, other, changed, 4);
  is_right(bench, running, prompt, 200);
}

TEST("one that is cancelled before its chunks have come to their places leaves nothing behind") {
  for (int steps = 1; steps < 12; steps++) {
    Bench bench(1, 2000, {}, 16, moving());
    const Tokens a = text(200, 1), b = text(200, 2);
    tried(bench, text(20, 3) + a + b + text(1, 4));
    const StreamId id = begin(bench, text(40, 5) + a + text(40, 6) + b + text(30, 7));
    for (int i = 0; i < steps; i++) bench.step();
    bench.cancel(id);
    bench.run_until_idle();
    CHECK(bench.decoder.nothing_aside());
    tried(bench, text(40, 5) + a + text(40, 6) + b + text(30, 8));
  }
}

TEST("a step that fails, or is aborted, between chunks leaves the others as they are") {
  Bench bench(2, 2000, {}, 16, moving());
  const Tokens a = text(200, 1), b = text(200, 2);
  tried(bench, text(20, 3) + a + b + text(1, 4));
  bench.decoder.fail_decode = bench.decoder.decodes + 2;
  const StreamId id = begin(bench, text(40, 5) + a + text(40, 6) + b + text(30, 7));
  bench.run_until_idle();
  CHECK_EQ(bench.failed[id].code, std::string("ENGINE_FAILED"));
  CHECK(bench.decoder.nothing_aside());
  tried(bench, text(40, 5) + a + text(40, 6) + b + text(30, 8));
}

TEST("a short prompt does not take over a long slot for a part of it, where there is another") {
  Bench bench(2, 2000, {}, 64, moving(0));
  const Tokens body = text(100, 1), lasting = text(20, 2) + body + text(900, 3);
  tried(bench, lasting);
  tried(bench, text(5, 4) + body + text(1, 5));
  CHECK(tried(bench, lasting).computed <= 2);
}
