#include "core/prompt.h"

#include "check.h"

using namespace zse;

TEST("a prompt knows what it has in common with another, also where one ends or either is empty") {
  const Prompt prompt({1, 2, 3, 4});
  CHECK_EQ(prompt.common_prefix(Prompt({1, 2, 9, 4})), size_t{2});
  CHECK_EQ(prompt.common_prefix(Prompt({1, 2})), size_t{2});
  CHECK_EQ(Prompt({1, 2}).common_prefix(prompt), size_t{2});
  CHECK_EQ(prompt.common_prefix(Prompt()), size_t{0});
  CHECK(prompt.starts_with(Prompt({1, 2})) && prompt.starts_with(prompt) && prompt.starts_with(Prompt()));
  CHECK(!prompt.starts_with(Prompt({1, 3})) && !Prompt({1, 2}).starts_with(prompt));
}

TEST("a prompt is appended to and cut, and is equal to what has the same tokens") {
  Prompt prompt({1, 2});
  const Token more[] = {3, 4};
  prompt.append(more, 2);
  CHECK(prompt == Prompt({1, 2, 3, 4}));
  prompt.cut(3);
  CHECK(prompt == Prompt({1, 2, 3}) && prompt != Prompt({1, 2}));
  CHECK_EQ(prompt.bytes(), size_t{12});
  Prompt other({9, 9, 9, 9, 9});
  other.assign_prefix(prompt, 2);
  CHECK(other == Prompt({1, 2}));
  other.clear();
  CHECK(other.empty() && other == Prompt());
}

TEST("what one variant of the model computes has nothing in common with what another does") {
  const Prompt alone({1, 2, 3}), adapted({1, 2, 3}, 7);
  CHECK_EQ(alone.common_prefix(adapted), size_t{0});
  CHECK(alone != adapted && !alone.starts_with(adapted) && !adapted.starts_with(Prompt({1})));
  CHECK(adapted.starts_with(Prompt({1}, 7)) && adapted.starts_with(Prompt()));
  CHECK(alone.hash() != adapted.hash());
  Prompt other;
  other.assign_prefix(adapted, 2);
  CHECK(other == Prompt({1, 2}, 7));
  other.clear(8);
  CHECK(other.empty() && other.variant() == 8);
}

// Folders of earlier versions are full of files that are named by it.
TEST("the hash that names a prompt's file is XXH3 of its tokens' bytes, for ever") {
  CHECK_EQ(Prompt().hash(), uint64_t{0x2d06800538d394c2});
  CHECK_EQ(Prompt({1, 2, 3}).hash(), uint64_t{7764052002911021640u});
}
