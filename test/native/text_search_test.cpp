// Looking for a text in another one: the places are those of std::string::find, and the work is linear whatever both are.
#include "base/text_search.h"

#include <chrono>
#include <random>

#include "check.h"

using namespace zse;

TEST("a text is found where std::string finds it, from any place on (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 3000; round++) {
    // Few letters, so that texts repeat themselves.
    const auto text = [&random](size_t longest) {
      std::string made(random() % longest, 'a');
      for (char& c : made) c = static_cast<char>('a' + random() % (1 + random() % 3));
      return made;
    };
    const std::string what = text(round % 2 == 0 ? 8 : 60) + 'a', in = text(200);
    const TextSearch search(what);
    for (const size_t from : {size_t{0}, random() % 200, in.size(), in.size() + 1}) {
      CHECK_EQ(search.find(in, from), in.find(what, from));
    }
  }
}

TEST("a text is found across the places where the search looks up") {
  for (const size_t length : {size_t{3}, size_t{40}}) {
    const std::string what = std::string(length - 1, 'x') + 'y';
    for (size_t at = 4080; at < 4110; at++) {
      const std::string in = std::string(at, 'x') + what + "tail";
      CHECK_EQ(TextSearch(what).find(in), at);
    }
  }
}

TEST("a needle that nearly matches everywhere costs steps in proportion to the text, and its work can be stopped") {
  const std::string half(1 << 20, 'a'), in(1 << 21, 'a');
  WorkLimits limits;
  limits.steps = 1 << 17;
  {
    WorkBound bound(limits);
    const WorkBound::Scope scope(bound);
    const std::string what = half + 'b';
    CHECK_EQ(TextSearch(what).find(in), std::string::npos);
    CHECK(bound.stopped() == WorkStop::kNone);
  }
  WorkBound bound(limits);
  const WorkBound::Scope scope(bound);
  bound.stop(WorkStop::kCancelled);
  bool stopped = false;
  try {
    TextSearch("b").find(in);
  } catch (const WorkStopped&) {
    stopped = true;
  }
  CHECK(stopped);
}
