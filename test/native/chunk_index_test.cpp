// What a prompt has in common with what is held is found wherever it stands: behind another line, in another order, more than once.
#include "kv/chunk_index.h"

#include <random>

#include "check.h"
#include "kv/prefix_cache.h"

using namespace zse;

namespace {

using Tokens = std::vector<Token>;

Tokens random_tokens(std::mt19937_64& random, size_t size, int vocabulary = 50000) {
  Tokens tokens(size);
  for (Token& token : tokens) token = static_cast<Token>(random() % static_cast<uint64_t>(vocabulary));
  return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/** Checks what must be true of any answer, and gives it. */
MovedChunks found(const Tokens& held, const Tokens& prompt, size_t held_from = 0, size_t at_from = 0) {
  const Prompt of_prompt(prompt);
  const MovedChunks chunks = ChunkIndex(of_prompt).find(Prompt(held), held_from, at_from);
  std::vector<bool> taken(held.size());
  auto behind = static_cast<Position>(at_from);
  for (const MovedChunk& chunk : chunks) {
    CHECK(chunk.tokens >= kWorthKeeping);
    CHECK(chunk.at >= behind);
    behind = chunk.at + chunk.tokens;
    CHECK(chunk.from >= static_cast<Position>(held_from));
    REQUIRE(static_cast<size_t>(chunk.from + chunk.tokens) <= held.size());
    REQUIRE(static_cast<size_t>(behind) < prompt.size());  // the last token is computed
    for (int i = 0; i < chunk.tokens; i++) {
      CHECK_EQ(held[static_cast<size_t>(chunk.from + i)], prompt[static_cast<size_t>(chunk.at + i)]);
      CHECK(!taken[static_cast<size_t>(chunk.from + i)]);
      taken[static_cast<size_t>(chunk.from + i)] = true;
    }
  }
  return chunks;
}

}  // namespace

TEST("a chunk behind another line is found as a whole, wherever it begins") {
  std::mt19937_64 random(check::seed());
  for (size_t before = 0; before < 70; before++) {
    const Tokens chunk = random_tokens(random, 64 + random() % 200);
    const Tokens held = random_tokens(random, before) + chunk;
    const Tokens prompt = random_tokens(random, random() % 70) + chunk + random_tokens(random, 1 + random() % 5);
    const MovedChunks chunks = found(held, prompt);
    REQUIRE(chunks.size() == 1);
    CHECK(chunks[0].tokens >= static_cast<int>(chunk.size()));
  }
}

TEST("chunks are found in another order, and those shorter than 64 tokens are left out") {
  std::mt19937_64 random(check::seed());
  const Tokens a = random_tokens(random, 200), b = random_tokens(random, 100), c = random_tokens(random, 63);
  const MovedChunks chunks = found(a + b + c, b + a + random_tokens(random, 3) + c + random_tokens(random, 1));
  REQUIRE(chunks.size() == 2);
  CHECK_EQ(chunks[0].from, 200);
  CHECK_EQ(chunks[0].at, 0);
  CHECK_EQ(chunks[0].tokens, 100);
  CHECK_EQ(chunks[1].from, 0);
  CHECK_EQ(chunks[1].at, 100);
  CHECK_EQ(chunks[1].tokens, 200);
}

TEST("what stays at the beginning, and what others share, is not moved") {
  std::mt19937_64 random(check::seed());
  const Tokens tokens = random_tokens(random, 300);
  const Tokens prompt = random_tokens(random, 10) + tokens + random_tokens(random, 1);
  REQUIRE(found(tokens, prompt, 100).size() == 1);
  CHECK_EQ(found(tokens, prompt, 100)[0].from, 100);
  REQUIRE(found(tokens, prompt, 0, 150).size() == 1);
  CHECK_EQ(found(tokens, prompt, 0, 150)[0].at, 150);
  CHECK(found(tokens, prompt, 0, 280).empty());
}

TEST("what another variant of the model has computed is not moved") {
  std::mt19937_64 random(check::seed());
  const Tokens tokens = random_tokens(random, 300);
  const Prompt prompt(random_tokens(random, 10) + tokens, 1);
  CHECK(ChunkIndex(prompt).find(Prompt(tokens), 0, 0).empty());
  CHECK_EQ(ChunkIndex(prompt).find(Prompt(tokens, 1), 0, 0).size(), size_t{1});
}

TEST("chunks of any two texts are disjoint, and the same tokens in both (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 400; round++) {
    const int vocabulary = std::vector<int>{1, 2, 3, 50, 50000}[random() % 5];
    std::vector<Tokens> pieces;
    for (size_t i = 0; i < 5; i++) pieces.push_back(random_tokens(random, random() % 150, vocabulary));
    Tokens held, prompt;
    for (size_t i = random() % 6; i > 0; i--) held = held + pieces[random() % 5];
    for (size_t i = random() % 6; i > 0; i--) prompt = prompt + pieces[random() % 5];
    const size_t common = Prompt(held).common_prefix(Prompt(prompt));
    const size_t kept = prompt.empty() ? 0 : std::min(common, prompt.size() - 1);
    found(held, prompt, kept + random() % 20, kept);
  }
}

TEST("a text that repeats itself is searched in a time that grows with its length alone") {
  const Tokens same(200000, 7);
  CHECK(!found(same, same, 100).empty());  // of the square of it, a run would take minutes
}
