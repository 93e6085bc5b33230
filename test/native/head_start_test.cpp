// An engine that is opened again has what was used last in a slot before anybody asks; and nobody waits for that, or gets what was let go of.
#include <cstring>
#include <filesystem>
#include <thread>

#include "bench.h"
#include "check.h"
#include "fake_decoder.h"
#include "temporary_folder.h"

using namespace zse;

namespace {

constexpr int kTokens = 300;
constexpr uint64_t kImage = kTokens * 3 * sizeof(Token);

PromptCacheOptions cache(uint64_t ram = 1 << 30) {
  PromptCacheOptions options;
  options.enabled = true;
  options.ram_bytes = ram;
  return options;
}

std::unique_ptr<PrefixFiles> files(const TemporaryFolder& folder) {
  return std::make_unique<PrefixFiles>(folder.path(), CacheKey{}, uint64_t{1} << 30, size_t{1} << 20, [] {});
}

/** One piece of a copy in each step. */
SchedulerOptions in_pieces() {
  SchedulerOptions options;
  options.copy_time = Clock::duration::zero();
  return options;
}

/** An engine that has these prefixes from the one before, the last one used last. */
struct Again : Bench {
  Again(const TemporaryFolder& folder, int slots, uint64_t ram = 1 << 30)
      : Bench(slots, 1000, in_pieces(), 64, cache(ram), true, files(folder)) {}
};

void use(const TemporaryFolder& folder, int salt) {
  Again before(folder, 1, 0);
  auto request = before.request(make_prompt(kTokens, salt));
  request.settings.max_tokens = 1;
  before.submit(std::move(request));
  before.run_until_idle();
  before.scheduler.write_prefixes();
}

/** Until the disk has answered and nothing is left to do. */
void rest(Bench& bench) {
  for (int i = 0; i < 200; i++) {
    if (!bench.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/** Steps until the head start's copy is under way; its end is far off. */
void begin_copy(Bench& bench) {
  bench.decoder.copy_tokens = 1;
  for (int i = 0; i < 5000 && bench.decoder.loads == 0; i++) {
    if (!bench.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(bench.decoder.loads == 1);
}

int cached(Bench& bench, std::vector<Token> prompt, int max_tokens = 3) {
  auto request = bench.request(prompt);
  request.settings.max_tokens = max_tokens;
  const StreamId id = bench.submit(std::move(request));
  for (int i = 0; i < 5000 && bench.ends[id] == 0; i++) {
    if (!bench.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(bench.ends[id] == 1);
  const auto reply =
      bench.decoder.model.reply(std::move(prompt), static_cast<uint32_t>(id), max_tokens, bench.decoder.context_size());
  CHECK_EQ(bench.text[id], repair_utf8(reply.bytes));
  return bench.finished[id].usage.cached_tokens;
}

}  // namespace

TEST("after a restart what was used last is in a slot before anybody asks") {
  for (const int last : {1, 2}) {
    const TemporaryFolder folder;
    use(folder, 3 - last);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // a file's time is coarse
    use(folder, last);
    Again bench(folder, 3);
    rest(bench);
    CHECK_EQ(bench.decoder.loads, 1);
    CHECK_EQ(bench.stats.free_slots.load(), 3);
    CHECK_EQ(bench.stats.steps.load(), 0);
    CHECK_EQ(cached(bench, make_prompt(kTokens, last)), kTokens - 1);
    CHECK_EQ(bench.decoder.loads, 1);  // the slot was taken over
    CHECK_EQ(cached(bench, make_prompt(kTokens, 3 - last)), kTokens - 1);
    CHECK_EQ(bench.decoder.loads, 2);
  }
}

TEST("a file has the time of its use, in whichever order the engine wrote its prefixes when it closed") {
  const TemporaryFolder folder;
  {
    Again before(folder, 2);
    for (const int salt : {1, 2}) cached(before, make_prompt(kTokens, salt), 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cached(before, make_prompt(kTokens + 20, 1), 1);
    before.scheduler.write_prefixes();
  }
  Again bench(folder, 3);
  rest(bench);
  CHECK_EQ(cached(bench, make_prompt(kTokens + 20, 1)), kTokens + 19);
  CHECK_EQ(bench.decoder.loads, 1);
}

TEST("a head start takes no slot that somebody wants, and its slot counts as free") {
  const TemporaryFolder folder;
  use(folder, 1);
  Again bench(folder, 1);
  begin_copy(bench);
  CHECK_EQ(bench.stats.free_slots.load(), 1);
  bench.decoder.model.end_one_in = 0;
  auto request = bench.request(make_prompt(50, 5));
  request.settings.max_tokens = 3;
  const StreamId id = bench.submit(std::move(request));
  bench.step();
  CHECK(!bench.text[id].empty());
  rest(bench);
  CHECK_EQ(bench.decoder.loads, 1);  // not begun again
  bench.decoder.copy_tokens = SIZE_MAX;
  CHECK_EQ(cached(bench, make_prompt(kTokens, 1)), kTokens - 1);
}

TEST("who asks for what the head start is copying has it, and another one's first token does not wait for the copy") {
  const TemporaryFolder folder;
  use(folder, 1);
  {
    Again bench(folder, 2);
    begin_copy(bench);
    CHECK_EQ(cached(bench, make_prompt(kTokens, 1)), kTokens - 1);
    CHECK_EQ(bench.stats.free_slots.load(), 2);
    rest(bench);
    CHECK_EQ(bench.decoder.filled_slots(), 1);
  }
  Again bench(folder, 2);
  bench.decoder.model.end_one_in = 0;
  begin_copy(bench);
  const size_t loaded = bench.decoder.tokens_loaded;
  const StreamId id = bench.submit(bench.request(make_prompt(200, 5)));
  while (bench.text[id].empty()) bench.step();
  CHECK_EQ(bench.decoder.tokens_loaded, loaded);
  for (int i = 0; i < 5; i++) bench.step();
  CHECK(bench.decoder.tokens_loaded > loaded);  // in the pauses of its reply
  bench.cancel(id);
  rest(bench);
  rest(bench);
  bench.decoder.copy_tokens = SIZE_MAX;
  rest(bench);
  CHECK_EQ(cached(bench, make_prompt(kTokens, 1)), kTokens - 1);
  CHECK_EQ(bench.decoder.loads, 1);  // it went on beside the other one, to its end
}

TEST("what is evicted while the head start copies it is nowhere") {
  const TemporaryFolder folder;
  use(folder, 1);
  Again bench(folder, 2);
  begin_copy(bench);
  auto control = std::make_shared<QuestionControl>();
  control->number = 1;
  CacheQuestion question;
  question.act = CacheQuestion::Act::kEvict;
  bench.inbox.push(CacheCommand{control, question, nullptr});
  bench.decoder.copy_tokens = SIZE_MAX;
  rest(bench);
  CHECK_EQ(bench.answers[1], 1);
  CHECK(bench.decoder.all_slots_empty());
  CHECK_EQ(bench.stats.free_slots.load(), 2);
  CHECK_EQ(cached(bench, make_prompt(kTokens, 1)), 0);
}

TEST("what is imported is in a slot before anybody asks, as after a restart") {
  Bench bench(2, 1000, {}, 64, cache());
  const std::vector<Token> prompt = make_prompt(kTokens, 1);
  auto image = std::make_shared<SlotImage>(2 * kTokens * sizeof(Token));
  std::memcpy(image->data(), prompt.data(), kTokens * sizeof(Token));
  auto prefix = std::make_shared<SavedPrefix>();
  prefix->content = Prompt(prompt);
  prefix->prompt_tokens = kTokens;
  prefix->image = std::move(image);
  auto control = std::make_shared<QuestionControl>();
  control->number = 1;
  CacheQuestion question;
  question.act = CacheQuestion::Act::kImport;
  bench.inbox.push(CacheCommand{control, question, prefix});
  bench.run_until_idle();
  CHECK_EQ(bench.answers[1], 1);
  CHECK_EQ(bench.decoder.loads, 1);
  CHECK_EQ(cached(bench, make_prompt(kTokens, 1)), kTokens - 1);
  CHECK_EQ(bench.decoder.loads, 1);
}

TEST("there is no head start with what is damaged, is no image, or is more than half of RAM") {
  const TemporaryFolder folder;
  use(folder, 1);
  {
    Again bench(folder, 2, 2 * kImage - 1);
    rest(bench);
    CHECK_EQ(bench.decoder.loads, 0);
    CHECK_EQ(bench.stats.cache_ram_bytes.load(), 0);
  }
  {
    Again bench(folder, 2);
    bench.decoder.load_fails = true;
    rest(bench);
    CHECK_EQ(bench.stats.free_slots.load(), 2);
    CHECK_EQ(bench.stats.cache_disk_bytes.load(), 0);
    bench.decoder.load_fails = false;
    CHECK_EQ(cached(bench, make_prompt(kTokens, 1)), 0);
    bench.scheduler.write_prefixes();
  }
  Again bench(folder, 2);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (entry.path().extension() == ".kv") std::filesystem::resize_file(entry.path(), 1000);
  }
  rest(bench);
  CHECK_EQ(bench.stats.free_slots.load(), 2);
  CHECK(cached(bench, make_prompt(kTokens, 1)) == 0 || bench.decoder.loads == 1);  // it may have been read before it was cut
}

TEST("an engine that is closed does not wait for its head start") {
  const TemporaryFolder folder;
  use(folder, 1);
  Again bench(folder, 2);
  begin_copy(bench);
  bench.inbox.close();
  bench.scheduler.finish_all();
  bench.scheduler.write_prefixes();
  CHECK(bench.decoder.all_slots_empty());
}
