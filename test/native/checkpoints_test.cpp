// Models whose memory cannot be cut (recurrent ones, hybrids, sliding windows) go on from checkpoints: what was computed once is used again where
// conversations part, and never where it does not belong. The fake decoder's text depends on every token in the slot, so that a wrong one shows.
#include <algorithm>
#include <random>
#include <thread>

#include "bench.h"
#include "check.h"
#include "schedule/checkpoint_places.h"
#include "temporary_folder.h"

using namespace zse;

namespace {

using Tokens = std::vector<Token>;

/** A prompt, and where its messages begin. The last one is the reply that is due. */
struct Chat {
  Tokens tokens;
  std::vector<int> starts;

  /** One more message, of so many tokens. */
  Chat with(int length, int salt) const {
    Chat longer = *this;
    longer.starts.push_back(static_cast<int>(tokens.size()));
    for (const Token token : make_prompt(length, salt)) longer.tokens.push_back(token);
    return longer;
  }
  /** The head of the reply that is due. */
  Chat asked() const { return with(4, 17); }
};

/** A system prompt, which has no start of its own. */
Chat system_prompt(int length, int salt = 1) { return {make_prompt(length, salt), {}}; }

PreparedRequest request_of(Bench& bench, const Chat& chat, int max_tokens = 5) {
  PreparedRequest request = bench.request(chat.tokens);
  request.prepared.message_starts = chat.starts;
  request.settings.max_tokens = max_tokens;
  return request;
}

std::string expected(const Bench& bench, StreamId id, const Chat& chat, int max_tokens = 5) {
  return repair_utf8(
      bench.decoder.model.reply(chat.tokens, static_cast<uint32_t>(id), max_tokens, bench.decoder.context_size()).bytes);
}

void finish(Bench& bench, StreamId id) {
  for (int i = 0; i < 3000 && bench.ends[id] == 0; i++) {
    if (!bench.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(bench.ends[id] == 1);
}

/** Has it answered, checks its text, and says how many tokens were not computed. */
int cached(Bench& bench, const Chat& chat) {
  const StreamId id = bench.submit(request_of(bench, chat));
  finish(bench, id);
  CHECK_EQ(bench.text[id], expected(bench, id, chat));
  return bench.finished[id].usage.cached_tokens;
}

/** The conversation with the reply that it has got, as it was written. */
Chat with_reply(const Bench& bench, Chat chat, StreamId id, int tokens = 5) {
  for (int i = 0; i < tokens; i++) chat.tokens.push_back(bench.decoder.model.next(chat.tokens, static_cast<uint32_t>(id)));
  return chat;
}

PromptCacheOptions ram(uint64_t bytes) {
  PromptCacheOptions options;
  options.enabled = true;
  options.ram_bytes = bytes;
  return options;
}
PromptCacheOptions plenty() { return ram(1 << 30); }

/** A recurrent model; its text never ends by itself. */
struct Recurrent : Bench {
  explicit Recurrent(int slots, PromptCacheOptions cache = plenty(), SchedulerOptions options = {}, int max_batch = 64,
                     std::unique_ptr<PrefixFiles> files = nullptr)
      : Bench(slots, 2000, options, max_batch, cache, false, std::move(files), {}, 0) {
    decoder.model.end_one_in = 0;
  }
};
/** One whose attention slides: its slots can be cut, its images cannot. */
struct Sliding : Bench {
  explicit Sliding(int slots, PromptCacheOptions cache = plenty(), std::unique_ptr<PrefixFiles> files = nullptr)
      : Bench(slots, 2000, {}, 64, cache, true, std::move(files), {}, 50) {
    decoder.model.end_one_in = 0;
  }
};

std::unique_ptr<PrefixFiles> files(const TemporaryFolder& folder) {
  return std::make_unique<PrefixFiles>(folder.path(), CacheKey{}, 1 << 30, size_t{1} << 20, [] {});
}

}  // namespace

TEST("checkpoints are where conversations part: the first question, the last one and the reply that is due") {
  CHECK(checkpoint_places({100, 150, 400, 450, 900}, 904, 1) == (std::vector<int>{100, 450, 900}));
  CHECK(checkpoint_places({100, 900}, 904, 1) == (std::vector<int>{100, 900}));
  CHECK(checkpoint_places({1, 900}, 904, 1) == (std::vector<int>{900}));    // there is no system prompt
  CHECK(checkpoint_places({100, 110}, 114, 1) == (std::vector<int>{100}));  // nearer than is worth a step
  CHECK(checkpoint_places({}, 300, 1) == (std::vector<int>{296}));          // a text
  CHECK(checkpoint_places({}, 50, 1).empty());                              // sooner computed than copied
  CHECK(checkpoint_places({100, 700, 900}, 904, 256) == (std::vector<int>{512, 768}));
  CHECK(checkpoint_places({100, 5000}, 5004, 1) == (std::vector<int>{100, 2148, 4196, 5000}));  // a long document
}

TEST("another question after the same system prompt computes only the question") {
  Recurrent bench(2);
  const Chat system = system_prompt(300);
  CHECK_EQ(cached(bench, system.with(80, 2).asked()), 0);
  CHECK_EQ(cached(bench, system.with(60, 3).asked()), 300);
  CHECK_EQ(cached(bench, system.with(40, 4).asked()), 300);
}

TEST("an edited last message, a reply that is written otherwise and one that goes on as it was compute only what is new") {
  Recurrent bench(1);
  const Chat first = system_prompt(200).with(100, 2).asked();
  CHECK_EQ(cached(bench, first), 0);
  const Chat second = with_reply(bench, first, 1).with(120, 3).asked();
  CHECK_EQ(cached(bench, second), 308);  // all but the reply's last token, which was never computed
  Chat edited = with_reply(bench, first, 1).with(90, 4).asked();
  CHECK_EQ(cached(bench, edited), 300);  // a checkpoint 8 tokens further on was not worth it
  Chat stripped = system_prompt(200).with(100, 2).with(30, 9).with(50, 5).asked();  // its reply has no thought any more
  CHECK_EQ(cached(bench, stripped), 300);
}

TEST("conversations that had to leave their slots go on from RAM, at their checkpoints") {
  Recurrent bench(1);
  const Chat one = system_prompt(300, 1).with(100, 2).asked(), two = system_prompt(300, 5).with(100, 6).asked();
  CHECK_EQ(cached(bench, one), 0);
  CHECK_EQ(cached(bench, two), 0);
  CHECK_EQ(cached(bench, system_prompt(300, 1).with(100, 2).with(20, 9).with(30, 3).asked()), 400);
  CHECK_EQ(cached(bench, system_prompt(300, 5).with(50, 7).asked()), 300);
  CHECK(bench.decoder.checkpoints_used > 0);
}

TEST("a window's images are cut at their checkpoints, and its slots anywhere") {
  Sliding bench(1);
  const Chat one = system_prompt(300, 1).with(100, 2).asked(), two = system_prompt(300, 5).with(100, 6).asked();
  CHECK_EQ(cached(bench, one), 0);
  CHECK_EQ(bench.decoder.checkpoints_used, 0);
  CHECK_EQ(cached(bench, two), 0);
  CHECK_EQ(cached(bench, system_prompt(300, 1).with(50, 7).asked()), 300);
  CHECK_EQ(bench.decoder.checkpoints_used, 1);
}

TEST("checkpoints survive a restart on disk, and a state that is not what it says costs time alone") {
  const TemporaryFolder folder;
  PromptCacheOptions cache = plenty();
  cache.dir = folder.path();
  const Chat one = system_prompt(300).with(100, 2).asked();
  for (const bool slides : {false, true}) {
    const auto run = [&](const std::function<void(Bench&)>& body) {
      if (slides) {
        Sliding bench(1, cache, files(folder));
        body(bench);
        bench.scheduler.write_prefixes();
      } else {
        Recurrent bench(1, cache, {}, 64, files(folder));
        body(bench);
        bench.scheduler.write_prefixes();
      }
    };
    const int salt = slides ? 3 : 4;
    run([&](Bench& bench) { cached(bench, one.with(30, salt).asked()); });
    run([&](Bench& bench) { CHECK_EQ(cached(bench, system_prompt(300).with(60, 9 + salt).asked()), 300); });
    run([&](Bench& bench) {
      bench.decoder.forget_checkpoints = true;
      cached(bench, system_prompt(300).with(70, 20 + salt).asked());
      bench.decoder.forget_checkpoints = false;
      cached(bench, system_prompt(300).with(70, 30 + salt).asked());
    });
  }
}

TEST("a prompt takes one step more for each checkpoint at most, and other streams lose none of theirs") {
  Recurrent bench(3, plenty(), {}, 64);
  const StreamId reading = bench.submit(request_of(bench, system_prompt(20, 9), 200));
  for (int i = 0; i < 5; i++) bench.step();
  const int tokens = bench.text_tokens[reading], before = bench.decoder.decodes;
  const StreamId prompt = bench.submit(request_of(bench, system_prompt(200).with(300, 2).asked(), 1));
  while (bench.ends[prompt] == 0) bench.step();
  const int steps = bench.decoder.decodes - before;
  CHECK(steps <= (504 + 63) / 64 + 1 + 2);
  CHECK(bench.text_tokens[reading] >= tokens + steps - 4);  // some of its text waits for the rest of a code point
  CHECK_EQ(bench.decoder.checkpoints_saved, 2);
  finish(bench, reading);
}

TEST("a reader that leaves in the middle of a prompt leaves nothing wrong behind") {
  Recurrent bench(1);
  const Chat chat = system_prompt(300).with(400, 2).asked();
  for (int steps = 1; steps < 12; steps++) {
    const StreamId id = bench.submit(request_of(bench, chat));
    for (int i = 0; i < steps; i++) bench.step();
    bench.cancel(id);
    finish(bench, id);
  }
  CHECK(cached(bench, system_prompt(300).with(50, 3).asked()) >= 300);
  cached(bench, chat);
}

TEST("checkpoints count against RAM, and a long conversation keeps few") {
  const uint64_t limit = 60000;
  Recurrent bench(2, ram(limit));
  Chat chat = system_prompt(200);
  for (int turn = 0; turn < 12; turn++) {
    chat = chat.with(40, turn).asked();
    const int known = cached(bench, chat);
    if (turn > 0) CHECK(known >= 200);
    chat = with_reply(bench, chat, static_cast<StreamId>(turn + 1));
    CHECK(static_cast<uint64_t>(bench.stats.cache_ram_bytes + bench.stats.spilled_bytes) <= limit);
  }
  CHECK_EQ(cached(bench, system_prompt(200).with(35, 70).asked()), 200);  // the first of all is kept longest
  Recurrent none(1, ram(0));
  CHECK_EQ(cached(none, system_prompt(300).with(80, 2).asked()), 0);
  CHECK_EQ(none.decoder.checkpoints_saved, 0);
  PromptCacheOptions off;
  off.enabled = false;
  Recurrent without(1, off);
  CHECK_EQ(cached(without, system_prompt(300).with(80, 2).asked()), 0);
  CHECK_EQ(without.decoder.checkpoints_saved, 0);
}

TEST("in deterministic mode checkpoints are at whole pieces of a prompt") {
  SchedulerOptions options;
  options.deterministic = true;
  Recurrent bench(1, plenty(), options, 256);
  const Chat system = system_prompt(600);
  CHECK_EQ(cached(bench, system.with(300, 2).asked()), 0);
  CHECK_EQ(cached(bench, system.with(100, 3).asked()), 512);
  CHECK_EQ(cached(bench, system.with(300, 2).with(40, 4).with(40, 5).asked()), 768);
}

TEST("a stream whose slot is lent has its checkpoints again when it is back") {
  SchedulerOptions options;
  options.lend_after = Clock::duration::zero();
  Recurrent bench(1, plenty(), options);
  const Chat chat = system_prompt(300).with(100, 2).asked();
  PreparedRequest slow = request_of(bench, chat, 20);
  slow.settings.high_water_mark = 1;
  const StreamId reader = bench.submit(std::move(slow));
  while (bench.stats.parked == 0) bench.step();
  cached(bench, system_prompt(300, 7).with(60, 8).asked());
  CHECK(bench.stats.spills >= 1);
  for (int i = 0; i < 3000 && bench.ends[reader] == 0; i++) {
    bench.inbox.push(AckCommand{reader, 1});
    bench.step();
  }
  REQUIRE(bench.ends[reader] == 1);
  CHECK_EQ(bench.text[reader], expected(bench, reader, chat, 20));
  CHECK_EQ(cached(bench, system_prompt(300).with(50, 9).asked()), 300);
}

TEST("conversations that grow, are edited, cancelled and displaced have the texts that they have without a cache (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 30; round++) {
    const TemporaryFolder folder;
    PromptCacheOptions cache = ram(std::vector<uint64_t>{0, 20000, 1 << 30}[random() % 3]);
    const bool disk = random() % 2 == 0, slides = random() % 3 == 0;
    if (disk) cache.dir = folder.path();
    const int slots = 1 + static_cast<int>(random() % 3);
    Bench bench(slots, 2000, {}, 64, cache, slides, disk ? files(folder) : nullptr, {}, slides ? 50 : 0);
    bench.decoder.forget_checkpoints = random() % 5 == 0;
    std::vector<Chat> chats = {system_prompt(150, 1), system_prompt(150, 2)};
    for (int turn = 0; turn < 25; turn++) {
      Chat chat = chats[random() % chats.size()].with(1 + static_cast<int>(random() % 120), static_cast<int>(random() % 5));
      chat = chat.asked();
      if (chat.tokens.size() > 1500) continue;
      const StreamId id = bench.submit(request_of(bench, chat));
      if (random() % 5 == 0) {
        for (uint64_t steps = random() % 6; steps > 0; steps--) bench.step();
        bench.cancel(id);
        finish(bench, id);
        continue;
      }
      finish(bench, id);
      CHECK_EQ(bench.text[id], expected(bench, id, chat));
      CHECK(static_cast<uint64_t>(bench.stats.cache_ram_bytes) <= cache.ram_bytes);
      if (chats.size() < 12) chats.push_back(random() % 2 == 0 ? with_reply(bench, chat, id, 3) : chat.with(9, 40));
    }
  }
}
