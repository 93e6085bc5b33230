// What is computed once is used again, and never where it does not belong: prefixes in slots, in RAM and on disk, and slots that
// are lent while a reader pauses. The fake decoder's text depends on every token in the slot, so that a wrong one shows.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "bench.h"
#include "check.h"
#include "fake_decoder.h"
#include "kept_files.h"
#include "temporary_folder.h"

using namespace zse;

namespace {

std::vector<Token> joined(std::vector<Token> a, const std::vector<Token>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/** The text that a stream must get, whatever came from the cache. */
std::string expected(const Bench& bench, StreamId id, const std::vector<Token>& prompt, int max_tokens) {
  return repair_utf8(
      bench.decoder.model.reply(prompt, static_cast<uint32_t>(id), max_tokens, bench.decoder.context_size()).bytes);
}

/** Submits a prompt, runs it to its end, checks its text, and says how many tokens were not computed. */
int cached(Bench& bench, const std::vector<Token>& prompt, int max_tokens = 5) {
  auto request = bench.request(prompt);
  request.settings.max_tokens = max_tokens;
  const int64_t before = bench.stats.prefilled_tokens;
  const StreamId id = bench.submit(std::move(request));
  for (int i = 0; i < 2000 && bench.ends[id] == 0; i++) {
    if (!bench.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(bench.ends[id] == 1);
  CHECK_EQ(bench.text[id], expected(bench, id, prompt, max_tokens));
  const int tokens = bench.finished[id].usage.cached_tokens;
  CHECK_EQ(bench.stats.prefilled_tokens - before, static_cast<int64_t>(prompt.size()) - tokens);
  return tokens;
}

/** The prompt with the reply that it has got, as a conversation's next turn begins. */
std::vector<Token> with_reply(const Bench& bench, std::vector<Token> prompt, StreamId id, int tokens) {
  for (int i = 0; i < tokens; i++) prompt.push_back(bench.decoder.model.next(prompt, static_cast<uint32_t>(id)));
  return prompt;
}

PromptCacheOptions options(bool enabled, uint64_t ram = 1 << 30) {
  PromptCacheOptions o;
  o.enabled = enabled;
  o.ram_bytes = ram;
  return o;
}

SchedulerOptions lending() {
  SchedulerOptions o;
  o.lend_after = Clock::duration::zero();
  return o;
}

/** While it lives, this process cannot open a file. */
class NoMoreFiles {
 public:
  NoMoreFiles() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none{0, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoMoreFiles() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_;
};

std::unique_ptr<PrefixFiles> files(const TemporaryFolder& folder, uint8_t key = 0, uint64_t limit = 1 << 30) {
  return std::make_unique<PrefixFiles>(folder.path(), CacheKey{key}, limit, size_t{1} << 20, [] {});
}

}  // namespace

TEST("the second turn of a conversation computes only what is new") {
  Bench bench(4, 1000);
  bench.decoder.model.end_one_in = 0;
  const std::vector<Token> first = make_prompt(100, 1);
  CHECK_EQ(cached(bench, first, 20), 0);
  const std::vector<Token> second = joined(with_reply(bench, first, 1, 20), make_prompt(30, 2));
  CHECK_EQ(cached(bench, second), 119);  // the reply's last token was never computed
  CHECK_EQ(bench.decoder.saves, 0);      // its slot was simply taken over
}

TEST("a prompt that is asked again is computed from its last token on") {
  Bench bench(2, 400);
  const std::vector<Token> prompt = make_prompt(90, 3);
  CHECK_EQ(cached(bench, prompt), 0);
  CHECK_EQ(cached(bench, prompt), 89);
}

TEST("another user's prompt shares the system prompt, and both conversations stay") {
  Bench bench(4, 1000);
  bench.decoder.model.end_one_in = 0;
  const std::vector<Token> system = make_prompt(200, 1);
  const std::vector<Token> one = joined(system, make_prompt(300, 2)), two = joined(system, make_prompt(40, 3));
  CHECK_EQ(cached(bench, one, 10), 0);
  CHECK(cached(bench, two) >= 200);  // what both questions happen to begin with counts too
  CHECK(cached(bench, joined(with_reply(bench, one, 1, 10), make_prompt(10, 4))) >= 509);
}

TEST("a conversation whose slot was needed comes back from RAM") {
  Bench bench(1, 1000);
  const std::vector<Token> one = make_prompt(300, 1), two = make_prompt(300, 2);
  CHECK_EQ(cached(bench, one), 0);
  CHECK_EQ(cached(bench, two), 0);
  CHECK(bench.stats.cache_ram_bytes > 0);
  CHECK_EQ(cached(bench, joined(one, make_prompt(20, 5))), 300);
  CHECK_EQ(bench.decoder.loads, 1);
}

TEST("RAM keeps the latest used within its limit") {
  const uint64_t image = 300 * (2 + 1) * sizeof(Token);
  Bench bench(1, 1000, {}, 64, options(true, image * 2 + 500));
  for (int salt = 1; salt <= 4; salt++)
    CHECK_EQ(cached(bench, make_prompt(300, salt), 1), 0);  // 1, 2 and 3 were displaced: two fit
  CHECK(static_cast<uint64_t>(bench.stats.cache_ram_bytes) <= image * 2 + 500);
  CHECK_EQ(cached(bench, make_prompt(300, 3), 1), 299);
  CHECK_EQ(cached(bench, make_prompt(300, 1), 1), 0);
}

TEST("with the cache off nothing of an ended stream stays, and nothing is used again") {
  Bench bench(2, 400, {}, 64, options(false));
  const std::vector<Token> prompt = make_prompt(100, 1);
  CHECK_EQ(cached(bench, prompt), 0);
  CHECK(bench.decoder.all_slots_empty());
  CHECK_EQ(cached(bench, prompt), 0);
}

TEST("memory that cannot be cut is used again only as a whole") {
  Bench bench(1, 1000, {}, 64, {}, false);
  bench.decoder.model.end_one_in = 0;
  const std::vector<Token> one = make_prompt(100, 1);
  CHECK_EQ(cached(bench, one, 5), 0);
  const std::vector<Token> more = joined(with_reply(bench, one, 1, 4), make_prompt(20, 2));
  CHECK_EQ(cached(bench, more, 5), 104);  // all that the slot holds
  CHECK_EQ(cached(bench, one, 5), 0);     // a part of it is of no use
  CHECK_EQ(cached(bench, joined(with_reply(bench, one, 3, 4), make_prompt(20, 3)), 5), 104);
}

TEST("deterministic streams use whole pieces of a prompt again, and nothing that was a reply") {
  SchedulerOptions deterministic;
  deterministic.deterministic = true;
  Bench bench(2, 2000, deterministic, 512);
  bench.decoder.model.end_one_in = 0;
  const std::vector<Token> one = make_prompt(600, 1);
  CHECK_EQ(cached(bench, one, 300), 0);
  CHECK_EQ(cached(bench, joined(with_reply(bench, one, 1, 300), make_prompt(20, 2))), 512);
}

TEST("a stream whose prompt another one is computing waits for it instead of computing it too") {
  Bench bench(4, 1000, {}, 32);
  const std::vector<Token> system = make_prompt(200, 1);
  const StreamId a = bench.submit(bench.request(joined(system, make_prompt(50, 2))));
  const StreamId b = bench.submit(bench.request(joined(system, make_prompt(50, 3))));
  bench.run_until_idle();
  CHECK_EQ(bench.finished[a].usage.cached_tokens, 0);
  CHECK(bench.finished[b].usage.cached_tokens >= 200);
  for (const StreamId id : {a, b}) {
    const auto prompt = joined(system, make_prompt(50, id == a ? 2 : 3));
    CHECK_EQ(bench.text[id], expected(bench, id, prompt, 0));
  }
}

TEST(
    "who comes after a reader that left in the middle of a long prompt does not wait for its saving, and costs no other "
    "conversation its slot") {
  Bench bench(2, 1000, {}, 32);
  const std::vector<Token> known = make_prompt(300, 1), left = make_prompt(900, 2);
  CHECK_EQ(cached(bench, known), 0);
  const StreamId id = bench.submit(bench.request(left));
  for (int i = 0; i < 8; i++) bench.step();
  bench.cancel(id);
  bench.step();
  const int saves = bench.decoder.saves;
  CHECK_EQ(cached(bench, make_prompt(20, 3)), 0);
  CHECK_EQ(bench.decoder.saves, saves);
  CHECK_EQ(cached(bench, known), 299);
  CHECK_EQ(bench.decoder.loads, 0);
}

TEST("what a reader that left had computed of its prompt is used again while nobody needs its slot") {
  Bench bench(2, 1000, {}, 32);
  const std::vector<Token> prompt = make_prompt(600, 2);
  const StreamId id = bench.submit(bench.request(prompt));
  for (int i = 0; i < 8; i++) bench.step();
  bench.cancel(id);
  bench.step();
  CHECK(cached(bench, prompt) >= 200);
}

// ---- images are copied between the steps ------------------------------------------------------------------------------

namespace {

/** Two long conversations whose readers are gone lie in two of three slots; somebody reads a reply from the third. */
struct Flowing {
  Bench bench;
  StreamId flowing = 0;

  explicit Flowing(bool shares) : bench(3, 1000, pieces(), 64) {
    bench.decoder.model.end_one_in = 0;
    bench.decoder.shares = shares;
    for (int salt = 1; salt <= 2; salt++) cached(bench, conversation(salt));
    flowing = bench.submit(bench.request(make_prompt(20, 3)));
    bench.step();
    bench.decoder.copy_tokens = 10;  // an image takes thirty steps
  }
  static SchedulerOptions pieces() {
    SchedulerOptions o;
    o.copy_time = Clock::duration::zero();
    o.copied_at_once = 0;
    return o;
  }
  static std::vector<Token> conversation(int salt) { return make_prompt(300, salt); }

  /** Steps until a stream has ended; in each somebody must get a token. */
  void until_end(StreamId id) {
    for (int i = 0; i < 400 && bench.ends[id] == 0; i++) {
      const int64_t before = bench.stats.generated_tokens;
      bench.step();
      CHECK(bench.stats.generated_tokens > before);
    }
    CHECK_EQ(bench.ends[id], 1);
  }
  void check_text(StreamId id, const std::vector<Token>& prompt, int max_tokens) {
    CHECK_EQ(bench.text[id], expected(bench, id, prompt, max_tokens));
  }
  StreamId ask(const std::vector<Token>& prompt) {
    auto request = bench.request(prompt);
    request.settings.max_tokens = 5;
    return bench.submit(std::move(request));
  }
};

}  // namespace

TEST("while a stream flows, the image of what a newcomer's slot held is made between its steps, and nothing is lost") {
  for (const bool shares : {false, true}) {
    Flowing it(shares);
    const std::vector<Token> fresh = make_prompt(20, 7);
    for (int i = 0; i < 2; i++) {  // the second has the first one's slot
      const StreamId id = it.ask(fresh);
      it.until_end(id);
      it.check_text(id, fresh, 5);
    }
    const StreamId other = it.ask(make_prompt(90, 8));
    it.until_end(other);
    it.check_text(other, make_prompt(90, 8), 5);
    for (int salt = 1; salt <= 2; salt++) {
      const StreamId id = it.ask(Flowing::conversation(salt));
      it.until_end(id);
      it.check_text(id, Flowing::conversation(salt), 5);
      CHECK_EQ(it.bench.finished[id].usage.cached_tokens, 299);
    }
    CHECK(it.bench.decoder.loads >= 1);
    it.bench.run_until_idle();
    it.check_text(it.flowing, make_prompt(20, 3), 0);
  }
}

TEST("a reader that leaves while its prefix is being copied in leaves nothing behind") {
  Flowing it(false);
  for (const int salt : {7, 8}) it.until_end(it.ask(make_prompt(90, salt)));  // both conversations are in RAM only
  const int loads = it.bench.decoder.loads;
  const StreamId id = it.ask(Flowing::conversation(1));
  for (int i = 0; i < 100 && it.bench.decoder.loads == loads; i++) it.bench.step();
  CHECK_EQ(it.bench.decoder.loads, loads + 1);
  it.bench.cancel(id);
  it.bench.step();
  CHECK_EQ(it.bench.ends[id], 1);
  CHECK_EQ(it.bench.stats.free_slots.load(), 2);
  const StreamId again = it.ask(Flowing::conversation(1));
  it.until_end(again);
  it.check_text(again, Flowing::conversation(1), 5);
  CHECK_EQ(it.bench.finished[again].usage.cached_tokens, 299);
}

TEST("a paused reader's slot is lent between the steps of a stream that flows, also if the reader comes back meanwhile") {
  for (const bool comes_back : {false, true}) {
    SchedulerOptions o = Flowing::pieces();
    o.lend_after = Clock::duration::zero();
    Bench bench(2, 1000, o, 64);
    bench.decoder.model.end_one_in = 0;
    auto pausing = bench.request(make_prompt(300, 1));
    pausing.settings.high_water_mark = 5;
    pausing.settings.max_tokens = 30;
    const StreamId paused = bench.submit(std::move(pausing));
    bench.run_until_idle();
    const StreamId flowing = bench.submit(bench.request(make_prompt(20, 2)));
    bench.step();
    bench.decoder.copy_tokens = 10;
    auto request = bench.request(make_prompt(20, 3));
    request.settings.max_tokens = 5;
    const StreamId newcomer = bench.submit(std::move(request));
    for (int i = 0; i < 2000 && (bench.ends[newcomer] == 0 || bench.ends[paused] == 0); i++) {
      const int64_t before = bench.stats.generated_tokens;
      bench.step();
      CHECK(bench.stats.generated_tokens > before || bench.ends[flowing] == 1);
      if ((comes_back && i == 10) || bench.ends[newcomer] == 1) {
        bench.inbox.push(AckCommand{paused, bench.text_tokens[paused]});
        bench.text_tokens[paused] = 0;
      }
    }
    CHECK_EQ(bench.stats.spills.load(), 1);
    CHECK_EQ(bench.text[newcomer], expected(bench, newcomer, make_prompt(20, 3), 5));
    CHECK_EQ(bench.text[paused], expected(bench, paused, make_prompt(300, 1), 30));
    CHECK_EQ(bench.stats.spilled_bytes.load(), 0);
  }
}

TEST("who waits for a prefix is not overtaken by who came later") {
  const TemporaryFolder folder;
  const std::vector<Token> known = make_prompt(300, 1);
  for (const uint64_t ram : {0, 1 << 20}) {
    {
      Bench first(1, 1000, {}, 64, options(true, 0), true, files(folder));
      cached(first, known);
      first.scheduler.write_prefixes();
    }
    Bench bench(1, 1000, {}, 64, options(true, ram), true, files(folder));
    bench.decoder.model.end_one_in = 0;
    auto on_disk = bench.request(known);
    on_disk.settings.max_tokens = 5;
    const StreamId a = bench.submit(std::move(on_disk));
    const StreamId b = bench.submit(bench.request(make_prompt(20, 2)));
    for (int i = 0; i < 5000 && bench.ends[a] == 0; i++) {
      if (!bench.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      CHECK_EQ(bench.ends[b], 0);
    }
    CHECK_EQ(bench.finished[a].usage.cached_tokens, 299);
    bench.run_until_idle();
    CHECK_EQ(bench.ends[b], 1);
  }
}

TEST("RAM is within its limit at every moment, also when many slots are needed at once") {
  const int64_t image = 305 * 3 * static_cast<int64_t>(sizeof(Token));
  Bench bench(4, 1000, {}, 64, options(true, image + 100));
  for (int salt = 1; salt <= 4; salt++) cached(bench, make_prompt(300, salt));
  for (int salt = 5; salt <= 8; salt++) bench.submit(bench.request(make_prompt(20, salt)));
  bench.run_until_idle();
  CHECK_EQ(bench.decoder.saves, 4);
  CHECK_EQ(bench.decoder.most_images, size_t{2});  // the one that is kept, and the one that is being made
  CHECK(bench.stats.cache_ram_bytes <= image + 100);
}

TEST("with the cache off, two readers share nothing unless their whole prompts are the same") {
  for (const bool same : {true, false}) {
    Bench bench(2, 1000, {}, 64, options(false));
    std::vector<Token> other = make_prompt(300, 1);
    if (!same) other.back() = other.back() % 50 + 1;
    REQUIRE(same || other != make_prompt(300, 1));
    bench.submit(bench.request(make_prompt(300, 1)));
    const StreamId second = bench.submit(bench.request(other));
    bench.run_until_idle();
    CHECK_EQ(bench.finished[second].usage.cached_tokens, same ? 299 : 0);
  }
}

TEST("an image that RAM has no room for is not made") {
  Bench bench(1, 1000, {}, 64, options(true, 1000));
  cached(bench, make_prompt(300, 1));
  cached(bench, make_prompt(300, 2));
  CHECK_EQ(bench.decoder.saves, 0);
}

// ---- on disk ---------------------------------------------------------------------------------------------------------

TEST("prefixes survive a restart on disk") {
  const TemporaryFolder folder;
  const std::vector<Token> prompt = make_prompt(300, 1);
  {
    Bench bench(2, 1000, {}, 64, options(true), true, files(folder));
    CHECK_EQ(cached(bench, prompt), 0);
    bench.scheduler.write_prefixes();
  }
  Bench bench(2, 1000, {}, 64, options(true), true, files(folder));
  CHECK(bench.stats.cache_disk_bytes > 0);
  CHECK_EQ(cached(bench, joined(prompt, make_prompt(10, 2))), 300);
}

TEST("a file of another model, a damaged one and half of one are never used") {
  const TemporaryFolder folder;
  const std::vector<Token> prompt = make_prompt(300, 1);
  const auto write = [&] {
    Bench bench(2, 1000, {}, 64, options(true), true, files(folder));
    cached(bench, prompt);
    bench.scheduler.write_prefixes();
  };
  const auto only_file = [&] {
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
      if (entry.is_regular_file()) found = entry.path();
    }
    return found;
  };
  write();
  {
    Bench other(2, 1000, {}, 64, options(true), true, files(folder, 7));
    CHECK_EQ(cached(other, prompt), 0);
  }
  const auto size = std::filesystem::file_size(only_file());
  // One byte in the header, in the tokens, at the end of the image; a file cut short; a file with more than it should have.
  for (const int64_t place :
       {int64_t{0}, int64_t{20}, int64_t{25}, int64_t{40}, int64_t{100}, int64_t(size) - 1, int64_t{-1}, int64_t{-2}}) {
    if (only_file().empty()) write();
    const std::filesystem::path path = only_file();
    REQUIRE(!path.empty());
    if (place == -1) {
      std::filesystem::resize_file(path, size / 2);
    } else if (place == -2) {
      std::filesystem::resize_file(path, size + 8);
    } else {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(place);
      const char byte = static_cast<char>(file.get() ^ 0x41);
      file.seekp(place);
      file.put(byte);
    }
    Bench bench(2, 1000, {}, 64, options(true), true, files(folder));
    CHECK_EQ(cached(bench, prompt), 0);
    CHECK(!std::filesystem::exists(path));
  }
}

TEST("a good file that cannot be read now is left alone") {
  const TemporaryFolder folder;
  const std::vector<Token> prompt = make_prompt(300, 1);
  {
    Bench bench(2, 1000, {}, 64, options(true), true, files(folder));
    cached(bench, prompt);
    bench.scheduler.write_prefixes();
  }
  {
    Bench known(2, 1000, {}, 64, options(true, 0), true, files(folder));  // with RAM it would be read ahead
    const NoMoreFiles exhausted;
    CHECK_EQ(cached(known, prompt), 0);  // wanted, and not to be had
    Bench scanned(2, 1000, {}, 64, options(true), true, files(folder));
    CHECK_EQ(cached(scanned, make_prompt(300, 2)), 0);
  }
  Bench bench(2, 1000, {}, 64, options(true), true, files(folder));
  CHECK_EQ(cached(bench, prompt), 299);
}

TEST("what others put into a model's folder stays there") {
  const TemporaryFolder folder;
  {
    Bench bench(2, 1000, {}, 64, options(true), true, files(folder));
  }
  const std::string inside = std::filesystem::directory_iterator(folder.path())->path().string();
  std::ofstream(inside + "/notes.kv") << "not ours";
  std::filesystem::create_directory(inside + "/0123456789abcdef.kv");
  std::filesystem::create_symlink(folder.path(), inside + "/fedcba9876543210.kv");
  Bench bench(2, 1000, {}, 64, options(true), true, files(folder, 0, 1));
  CHECK_EQ(cached(bench, make_prompt(300, 1)), 0);
  CHECK_EQ(std::distance(std::filesystem::directory_iterator(inside), {}), 3);
}

TEST("an engine with a smaller context leaves longer prefixes alone, and keeps its own") {
  const TemporaryFolder folder;
  {
    Bench large(1, 1000, {}, 64, options(true, 0), true, files(folder));
    cached(large, make_prompt(900, 1));
    large.scheduler.write_prefixes();
  }
  const std::vector<Token> prompt = make_prompt(200, 1);  // the beginning of the long one
  for (const int known : {0, 199}) {
    Bench small(1, 300, {}, 64, options(true, 0), true, files(folder));
    CHECK_EQ(cached(small, prompt), known);
    small.scheduler.write_prefixes();
  }
  Bench large(1, 1000, {}, 64, options(true, 0), true, files(folder));
  CHECK_EQ(cached(large, make_prompt(900, 1)), 899);
}

TEST("known prompts that wait for a slot are not computed anew, whatever RAM there is") {
  for (const uint64_t ram : {0, 2000, 8000}) {  // for no image, for none of the paused reader's, for its and few others
    const TemporaryFolder folder;
    {
      Bench first(4, 400, {}, 64, options(true), true, files(folder));
      for (int salt = 1; salt <= 6; salt++) cached(first, make_prompt(300, salt));
      first.scheduler.write_prefixes();
    }
    Bench bench(2, 400, lending(), 64, options(true, ram), true, files(folder));
    bench.decoder.model.end_one_in = 0;
    auto paused = bench.request(make_prompt(250, 9));
    paused.settings.high_water_mark = 5;
    const StreamId reader = bench.submit(std::move(paused));
    bench.run_until_idle();
    CHECK_EQ(bench.stats.parked.load(), 1);
    std::vector<StreamId> known;
    for (int salt = 1; salt <= 6; salt++) {
      auto request = bench.request(make_prompt(300, salt));
      request.settings.max_tokens = 5;
      known.push_back(bench.submit(std::move(request)));
    }
    const auto all_ended = [&] {
      return std::all_of(known.begin(), known.end(), [&](StreamId id) { return bench.ends[id] != 0; });
    };
    for (int i = 0; i < 5000 && !all_ended(); i++) {
      if (!bench.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(all_ended());
    for (const StreamId id : known) CHECK_EQ(bench.finished[id].usage.cached_tokens, 299);
    bench.cancel(reader);
    bench.run_until_idle();
  }
}

TEST("a folder that cannot be written is tried again later, not for every stream") {
  const TemporaryFolder folder;
  Bench bench(1, 1000, {}, 64, options(true, 0), true, files(folder));
  const auto ask = [&](int salt) {
    cached(bench, make_prompt(300, salt), 1);
    bench.scheduler.write_prefixes();
    for (int i = 0; i < 50; i++) {  // until the file thread has said what became of it
      bench.step();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  {
    const NoMoreFiles exhausted;
    for (int salt = 1; salt <= 6; salt++) ask(salt);
  }
  const int saves = bench.decoder.saves;
  CHECK(saves <= 4);
  ask(7);
  CHECK_EQ(bench.decoder.saves, saves);  // the disk rests
  CHECK_EQ(bench.stats.cache_disk_bytes.load(), 0);
}

TEST("what is on disk stays within its limit, the latest used longest") {
  const TemporaryFolder folder;
  const uint64_t file = 88 + 300 * 3 * sizeof(Token);
  {
    Bench bench(1, 1000, {}, 64, options(true, 0), true, files(folder, 0, 3 * file + 1000));
    for (int salt = 1; salt <= 6; salt++) {
      cached(bench, make_prompt(300, salt), 1);
      bench.scheduler.write_prefixes();
      for (int i = 0; i < 20; i++) {
        bench.step();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    CHECK(static_cast<uint64_t>(bench.stats.cache_disk_bytes) <= 3 * file + 1000);
  }
  Bench bench(1, 1000, {}, 64, options(true, 0), true, files(folder, 0, 3 * file + 1000));
  CHECK_EQ(cached(bench, make_prompt(300, 6), 1), 299);
  CHECK_EQ(cached(bench, make_prompt(300, 1), 1), 0);
}

TEST("the limit on disk is for all models that share the folder, whoever is used last keeps most") {
  const TemporaryFolder folder;
  const uint64_t file = 88 + 300 * 3 * sizeof(Token);
  std::ofstream(folder.path() + "/somebody's notes.kv") << "not ours";
  const auto bytes = [&] {
    uint64_t total = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
      if (entry.is_regular_file() && entry.path().parent_path() != folder.path()) total += entry.file_size();
    }
    return total;
  };
  for (const uint8_t model : {1, 2, 3}) {
    Bench bench(1, 1000, {}, 64, options(true, 0), true, files(folder, model, 4 * file));
    for (int salt = 1; salt <= 3; salt++) {
      cached(bench, make_prompt(300, salt), 1);
      bench.scheduler.write_prefixes();
    }
  }
  CHECK(bytes() <= 4 * file);
  CHECK(std::filesystem::exists(folder.path() + "/somebody's notes.kv"));
  CHECK_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}),
           3);  // the notes, the last model's, one of the second's
  Bench bench(1, 1000, {}, 64, options(true, 0), true, files(folder, 3, 4 * file));
  for (int salt = 1; salt <= 3; salt++) CHECK_EQ(cached(bench, make_prompt(300, salt), 1), 299);
}

TEST("what a folder has no room for is tried once, not for ever") {
  for (const uint64_t limit : {0, 100, 4000}) {  // for nothing, and for one of two
    const TemporaryFolder folder;
    Bench bench(2, 1000, {}, 64, options(true, 0), true, files(folder, 0, limit));
    cached(bench, make_prompt(300, 1), 1);
    cached(bench, make_prompt(300, 2), 1);
    bench.scheduler.write_prefixes();
    const int saves = bench.decoder.saves;
    CHECK(saves <= 2);
    for (int i = 0; i < 20; i++) {
      bench.step();
      bench.scheduler.write_prefixes();
    }
    CHECK_EQ(bench.decoder.saves, saves);
    CHECK(static_cast<uint64_t>(bench.stats.cache_disk_bytes) <= limit);
  }
}

TEST("a longer conversation takes its shorter self's place on disk") {
  const TemporaryFolder folder;
  Bench bench(1, 1000, {}, 64, options(true, 0), true, files(folder));
  bench.decoder.model.end_one_in = 0;
  std::vector<Token> prompt = make_prompt(100, 1);
  for (int turn = 0; turn < 4; turn++) {
    const StreamId id = bench.last_id + 1;
    cached(bench, prompt, 10);
    bench.scheduler.write_prefixes();
    prompt = joined(with_reply(bench, prompt, id, 10), make_prompt(20, turn));
    for (int i = 0; i < 20; i++) {
      bench.step();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  const auto count = [&] {
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) files += entry.is_regular_file();
    return files;
  };
  for (int i = 0; i < 5000 && count() != 1; i++) {
    bench.step();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK_EQ(count(), 1);
}

TEST("what is forgotten while it is being written does not stay on disk, and may be kept again later") {
  const TemporaryFolder folder;
  EngineStats stats;
  PrefixCache cache(options(true), {}, files(folder), stats);
  const std::shared_ptr<const SavedPrefix> prefix = prefix_of(100, 1, 50000);
  const uint64_t id = prefix->content.hash();
  for (int i = 0; i < 3; i++) {
    CHECK(cache.wants_file(*prefix));
    cache.write(prefix);
    CHECK(cache.drop(id));
    CHECK(!cache.drop(id));  // it is gone for whoever asks
    int told = 0;
    cache.each_file(false, [&](const auto&) { told++; });
    CHECK_EQ(told, 0);
    CHECK_EQ(cache.removals(), static_cast<uint64_t>(i + 1));
    for (int waited = 0; waited < 10000 && !(cache.removed(cache.removals()) && cache.wants_file(*prefix)); waited++) {
      cache.update();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(only_file(folder.path()).empty());
    CHECK_EQ(stats.cache_disk_bytes.load(), 0);
  }
}

TEST("what is forgotten while it is being read is not taken in") {
  const TemporaryFolder folder;
  EngineStats stats;
  PrefixCache cache(options(true), {}, files(folder), stats);
  const std::shared_ptr<const SavedPrefix> prefix = prefix_of(100, 1, 50000);
  cache.write(prefix);
  PrefixCache::OnDisk file;
  for (int waited = 0; waited < 10000 && file.tokens == 0; waited++) {
    cache.update();
    file = cache.find_file(Prompt(joined(prefix->content.tokens(), {7})));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(file.tokens == 100);
  cache.fetch(file.id);
  CHECK(cache.drop(prefix->content.hash()));
  for (int waited = 0; waited < 10000 && !cache.removed(cache.removals()); waited++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  cache.update();
  cache.each_in_ram([](const auto&) { CHECK(false); });
  CHECK_EQ(stats.cache_ram_bytes.load(), 0);
}

TEST("a folder that cannot be made is an error that names it") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/file") << "x";
  try {
    PrefixFiles files(folder.path() + "/file/inside", CacheKey{}, 1 << 30, 1 << 20, [] {});
    CHECK(!"it was taken");
  } catch (const EngineError& e) {
    CHECK_EQ(e.code(), "BAD_OPTION");
    CHECK(std::string(e.what()).find("/file/inside") != std::string::npos);
  }
}

// ---- lending ---------------------------------------------------------------------------------------------------------

namespace {

/** Two readers that pause take both slots; then others come. */
struct Pausing {
  Bench bench;
  std::vector<StreamId> paused;

  explicit Pausing(PromptCacheOptions cache) : bench(2, 400, lending(), 64, cache) {
    bench.decoder.model.end_one_in = 0;
    for (int i = 0; i < 2; i++) {
      auto request = bench.request(make_prompt(100 + i, i));
      request.settings.high_water_mark = 5;
      request.settings.max_tokens = 60;
      paused.push_back(bench.submit(std::move(request)));
    }
    bench.run_until_idle();
    CHECK_EQ(bench.stats.parked.load(), 2);
  }
  StreamId newcomer(int salt) {
    auto request = bench.request(make_prompt(80, salt));
    request.settings.max_tokens = 30;
    return bench.submit(std::move(request));
  }
  std::string expected(StreamId id, int length, int salt, int max_tokens) {
    return ::expected(bench, id, make_prompt(length, salt), max_tokens);
  }
  void read_all() {
    for (int round = 0; round < 500; round++) {
      for (const StreamId id : paused) {
        bench.inbox.push(AckCommand{id, bench.text_tokens[id]});
        bench.text_tokens[id] = 0;
      }
      bench.step();
    }
  }
};

}  // namespace

TEST("the slots of paused readers are lent to those who wait, and their text goes on as if nothing had been") {
  Pausing it(options(true));
  const StreamId a = it.newcomer(7), b = it.newcomer(8), c = it.newcomer(9);
  it.bench.run_until_idle();
  CHECK_EQ(it.bench.ends[a] + it.bench.ends[b] + it.bench.ends[c], 3);
  CHECK(it.bench.stats.spilled.load() >= 1 && it.bench.stats.parked.load() == 2);
  CHECK(it.bench.stats.spilled_bytes > 0);
  it.read_all();
  for (int i = 0; i < 2; i++) CHECK_EQ(it.bench.text[it.paused[i]], it.expected(it.paused[i], 100 + i, i, 60));
  CHECK_EQ(it.bench.text[a], it.expected(a, 80, 7, 30));
  CHECK_EQ(it.bench.stats.spilled_bytes.load(), 0);
  CHECK_EQ(it.bench.stats.free_slots.load(), 2);
}

TEST("slots are lent with the cache off too, and no further than RAM allows") {
  {
    Pausing it(options(false));
    const StreamId a = it.newcomer(7);
    it.bench.run_until_idle();
    CHECK_EQ(it.bench.ends[a], 1);
    it.read_all();
    CHECK_EQ(it.bench.text[it.paused[0]], it.expected(it.paused[0], 100, 0, 60));
  }
  Pausing it(options(true, 100));
  const StreamId a = it.newcomer(7);
  it.bench.run_until_idle();
  CHECK_EQ(it.bench.ends[a], 0);
  CHECK_EQ(it.bench.decoder.saves, 0);
  it.read_all();
  it.bench.run_until_idle();
  CHECK_EQ(it.bench.ends[a], 1);
}

TEST("readers that come back and newcomers get slots in turn, however many there are") {
  Bench bench(1, 400, lending(), 64, options(true));
  bench.decoder.model.end_one_in = 0;
  std::vector<StreamId> readers;
  for (int i = 0; i < 5; i++) {
    auto request = bench.request(make_prompt(50, i));
    request.settings.high_water_mark = 4;
    request.settings.max_tokens = 200;
    readers.push_back(bench.submit(std::move(request)));
  }
  std::map<StreamId, int> taken, back;
  for (int round = 0; round < 600; round++) {
    bench.step();
    for (const StreamId id : readers) {
      if (bench.text_tokens[id] < 4) continue;
      back.try_emplace(id, round + 3);
      if (round < back[id]) continue;
      back.erase(id);
      taken[id] += bench.text_tokens[id];
      bench.inbox.push(AckCommand{id, std::exchange(bench.text_tokens[id], 0)});
    }
    if (round != 300) continue;
    auto request = bench.request(make_prompt(20, 9));
    request.settings.max_tokens = 4;
    readers.push_back(bench.submit(std::move(request)));
  }
  CHECK_EQ(bench.ends[readers.back()], 1);
  readers.pop_back();
  int least = 1000, most = 0;
  for (const StreamId id : readers) {
    least = std::min(least, taken[id]);
    most = std::max(most, taken[id]);
  }
  CHECK(least > 0 && most - least <= 8);
}

TEST("time that a stream waits for a slot is time between tokens, not its reader's pause") {
  const auto started = Clock::now();
  Pausing it(options(true));
  const StreamId newcomer = it.bench.submit(it.bench.request(make_prompt(80, 7)));
  it.bench.submit(it.bench.request(make_prompt(80, 8)));
  for (int i = 0; i < 20; i++) it.bench.step();
  CHECK_EQ(it.bench.stats.spilled.load(), 2);
  const auto away = Clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const StreamId id = it.paused[0];
  it.bench.inbox.push(AckCommand{id, it.bench.text_tokens[id]});  // its reader is back, and both slots are taken
  const double pause_ms = milliseconds(Clock::now() - away);
  it.bench.step();
  const auto back = Clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  it.bench.cancel(newcomer);
  const double waited_ms = milliseconds(Clock::now() - back);
  for (int i = 0; i < 20; i++) it.bench.step();
  it.bench.cancel(id);
  it.bench.run_until_idle();
  const Timings timings = it.bench.finished[id].timings;
  CHECK(timings.paused_ms >= pause_ms);
  CHECK(timings.itl_max_ms >= waited_ms);
  CHECK(timings.itl_max_ms <= milliseconds(Clock::now() - started) - pause_ms);
}

TEST("a stream whose slot is lent can be cancelled, and stalls, and frees its memory") {
  Pausing it(options(true));
  it.newcomer(7);
  it.newcomer(8);
  it.bench.run_until_idle();
  CHECK_EQ(it.bench.stats.spilled.load(), 2);
  for (const StreamId id : it.paused) it.bench.cancel(id);
  it.bench.run_until_idle();
  CHECK_EQ(it.bench.ends[it.paused[0]] + it.bench.ends[it.paused[1]], 2);
  CHECK_EQ(it.bench.stats.spilled_bytes.load(), 0);
}

TEST("a lent stream whose image cannot be put back is computed again, and its text goes on") {
  Pausing it(options(true));
  it.newcomer(7);
  it.newcomer(8);
  it.bench.run_until_idle();
  it.bench.decoder.load_fails = true;
  it.read_all();
  for (int i = 0; i < 2; i++) CHECK_EQ(it.bench.text[it.paused[i]], it.expected(it.paused[i], 100 + i, i, 60));
  CHECK(it.bench.stats.recomputed >= 1);
  CHECK_EQ(it.bench.stats.spilled_bytes.load(), 0);
  CHECK_EQ(it.bench.stats.free_slots.load(), 2);
}
