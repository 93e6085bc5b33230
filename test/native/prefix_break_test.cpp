// Each finish says where the known part of its prompt ended, and why: so that a person can mend a prompt whose beginning changes.
#include <thread>

#include "bench.h"
#include "check.h"
#include "kv/prefix_memory.h"

using namespace zse;

namespace {

using Tokens = std::vector<Token>;

Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Told {
  int at;
  PrefixEnd reason;
  int cached;
};

Told told(Bench& bench, const Tokens& prompt, Variant variant = 0) {
  auto request = bench.request(prompt);
  request.prepared.prompt = Prompt(prompt, variant);
  request.settings.max_tokens = 2;
  const StreamId id = bench.submit(std::move(request));
  for (int i = 0; i < 2000 && bench.ends[id] == 0; i++) {
    if (!bench.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(bench.ends[id] == 1);
  const FinishEvent& finish = bench.finished[id];
  REQUIRE(finish.timings.prefix.has_value());
  return {finish.timings.prefix->at, finish.timings.prefix->reason, finish.usage.cached_tokens};
}

PromptCacheOptions cache(uint64_t ram) {
  PromptCacheOptions options;
  options.enabled = ram > 0;
  options.ram_bytes = ram;
  return options;
}

void is_told(const Told& told, int at, PrefixEnd reason, int cached) {
  CHECK_EQ(told.at, at);
  CHECK_EQ(static_cast<int>(told.reason), static_cast<int>(reason));
  CHECK_EQ(told.cached, cached);
}

/** Another token in one place. */
Tokens changed(Tokens prompt, size_t at) {
  prompt[at] = prompt[at] == 5 ? 6 : 5;
  return prompt;
}

}  // namespace

TEST("a prompt tells where it is another one than what is known, where it goes on, and that it is known as a whole") {
  Bench bench(4, 1000);
  const Tokens one = make_prompt(300, 1);
  is_told(told(bench, one), 0, PrefixEnd::kNew, 0);
  is_told(told(bench, one), 300, PrefixEnd::kWhole, 299);
  is_told(told(bench, changed(one, 200)), 200, PrefixEnd::kDiffers, 200);
  // The reply was one token of the KV cache more, which the next turn has, too.
  Bench other(4, 1000);
  other.decoder.model.end_one_in = 0;
  told(other, one);
  Tokens next = one;
  next.push_back(other.decoder.model.next(next, 1));
  is_told(told(other, joined(next, make_prompt(20, 9))), 301, PrefixEnd::kContinued, 301);
}

TEST("a difference near the beginning is told, though so little is not worth a copy") {
  Bench bench(4, 1000);
  const Tokens one = make_prompt(300, 1);
  told(bench, one);
  const Told second = told(bench, changed(one, 20));
  is_told(second, 20, PrefixEnd::kDiffers, 0);
}

TEST("a short prompt that is known, and is not worth a copy, is told as that") {
  Bench bench(4, 1000);
  const Tokens one = make_prompt(20, 1);
  told(bench, one);
  const StreamId running = bench.submit(bench.request(one));  // whose slot nobody can take over
  bench.step();
  const Told second = told(bench, one);
  CHECK_EQ(second.at, 20);
  CHECK_EQ(static_cast<int>(second.reason), static_cast<int>(PrefixEnd::kShort));
  CHECK_EQ(second.cached, 0);
  bench.cancel(running);
}

TEST("what had to make way is told as that, and no more than that") {
  const uint64_t image = 300 * (2 + 1) * sizeof(Token);
  Bench bench(1, 1000, {}, 64, cache(image + 500));
  const Tokens one = make_prompt(300, 1);
  is_told(told(bench, one), 0, PrefixEnd::kNew, 0);
  told(bench, changed(make_prompt(300, 2), 0));
  told(bench, changed(make_prompt(300, 3), 0));
  told(bench, changed(make_prompt(300, 4), 0));
  CHECK_EQ(static_cast<int>(told(bench, one).reason), static_cast<int>(PrefixEnd::kEvicted));
}

TEST("other adapters, a memory that cannot be cut, and a cache that is off are told apart") {
  Bench bench(4, 1000);
  const Tokens one = make_prompt(300, 1);
  told(bench, one);
  is_told(told(bench, one, 7), 0, PrefixEnd::kAdapter, 0);

  Bench recurrent(2, 1000, {}, 64, cache(1 << 30), false);
  told(recurrent, one);
  is_told(told(recurrent, changed(one, 200)), 200, PrefixEnd::kCoarse, 0);
  is_told(told(recurrent, changed(one, 20)), 20, PrefixEnd::kDiffers, 0);  // little is lost by the cut

  Bench off(2, 1000, {}, 64, cache(0));
  told(off, one);
  is_told(told(off, one), 0, PrefixEnd::kOff, 0);
}

TEST("what was computed once is remembered in whole grains, and no more of it than the bound") {
  PrefixMemory memory;
  const Tokens text = make_prompt(1000, 1);
  memory.remember(Prompt(text));
  CHECK_EQ(memory.longest(Prompt(text)), size_t{960});
  CHECK_EQ(memory.longest(Prompt(changed(text, 200))), size_t{192});
  CHECK_EQ(memory.longest(Prompt(text, 3)), size_t{0});
  for (size_t i = 0; i < PrefixMemory::kMost / 10; i++) {
    Tokens other = make_prompt(1000, 2);
    other[0] = static_cast<Token>(1000 + i);
    memory.remember(Prompt(other));
  }
  CHECK_EQ(memory.longest(Prompt(text)), size_t{0});
}
