#include "reply/plain_reply.h"

#include <random>

#include "check.h"

using namespace zse;

namespace {

constexpr StreamId kStream = 7;

struct Collected {
  std::string text;
  int tokens = 0, events = 0;
  std::optional<std::string> stop;
};

/** Feeds pieces, as many tokens each as is said, and finishes unless a stop string did. */
Collected run(const std::vector<std::pair<std::string, int>>& pieces, std::vector<std::string> stops = {}) {
  PlainReply reply(std::move(stops));
  Collected all;
  std::vector<Event> news;
  const auto take = [&](ReplyEvents& out) {
    int tokens = 0;
    for (const Event& event : news) {
      CHECK_EQ(event.stream, kStream);
      CHECK(event.tokens > 0);
      all.text += std::get<TextEvent>(event.payload).text;
      tokens += event.tokens;
      all.events++;
    }
    CHECK_EQ(out.items(), static_cast<int>(news.size()));
    CHECK_EQ(out.tokens(), tokens);
    all.tokens += tokens;
    all.stop = out.stopped_by();
    news.clear();
  };
  for (const auto& [bytes, tokens] : pieces) {
    ReplyEvents out(kStream, news);
    reply.add(bytes, tokens, out);
    take(out);
    if (all.stop) return all;
  }
  ReplyEvents out(kStream, news);
  reply.finish(true, out);
  take(out);
  return all;
}

}  // namespace

TEST("a plain reply is text events, and each token is charged with one of them") {
  const Collected all = run({{"Hello", 1}, {"", 1}, {" \xF0\x9F", 1}, {"\x98\x80", 1}, {"!", 3}});
  CHECK_EQ(all.text, "Hello \xF0\x9F\x98\x80!");
  CHECK_EQ(all.tokens, 7);
  CHECK_EQ(all.events, 4);  // the space goes out before its emoji is whole
  CHECK(!all.stop);
}

TEST("a plain reply stops at a stop string, which does not show; what came before it is charged") {
  const Collected all = run({{"one ", 1}, {"two E", 1}, {"N", 1}, {"D three", 1}}, {"END"});
  CHECK_EQ(all.text, "one two ");
  CHECK_EQ(all.stop.value_or(""), "END");
  CHECK_EQ(all.tokens, 2);
}

TEST("what a plain reply held back for a stop string comes when it is finished, and takes credit") {
  const Collected all = run({{"a E", 1}, {"N", 1}}, {"END"});
  CHECK_EQ(all.text, "a EN");
  CHECK_EQ(all.tokens, 2);
  CHECK(!all.stop);
  CHECK_EQ(run({{"", 1}}).events, 0);
}

TEST("an item of any kind carries credit") {
  std::vector<Event> news;
  ReplyEvents out(kStream, news);
  out.put(ProgressEvent{1, 2, 0}, 4);
  out.put(TextEvent{"x"}, 1);
  CHECK_EQ(out.tokens(), 5);
  CHECK_EQ(news[0].tokens, 4);
}

TEST("an item carries the log-probabilities of the tokens that it took, and none where nobody asked") {
  PlainReply reply({"END"});
  LogprobQueue logprobs;
  std::vector<Event> news;
  const std::vector<std::string> pieces = {"a", "\xF0\x9F", "\x98\x80", " E", "N", " b", "E"};
  for (size_t i = 0; i < pieces.size(); i++) {
    logprobs.push({{static_cast<Token>(i), pieces[i], {}, -1}, {}});
    ReplyEvents out(kStream, news, &logprobs);
    reply.add(pieces[i], 1, out);
  }
  ReplyEvents out(kStream, news, &logprobs);
  reply.finish(true, out);
  std::vector<std::vector<Token>> tokens;
  for (const Event& event : news) {
    REQUIRE(event.logprobs != nullptr);
    tokens.emplace_back();
    for (const TokenLogprobs& one : *event.logprobs) tokens.back().push_back(one.chosen.token);
  }
  // The space goes out with its token's; the E that was held back has none left when it comes.
  const std::vector<std::vector<Token>> expected = {{0}, {1, 2}, {3}, {4, 5}, {6}};
  CHECK(tokens == expected);

  std::vector<Event> plain;
  ReplyEvents without(kStream, plain);
  without.put(TextEvent{"x"}, 1);
  CHECK(plain[0].logprobs == nullptr);
}

TEST("a stop string counts where it begins after the tokens that a reply must have, and not before (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 300; round++) {
    const int min_tokens = static_cast<int>(random() % 8);
    std::vector<std::string> pieces(1 + random() % 20);
    for (std::string& piece : pieces) {
      for (size_t i = 1 + random() % 3; i > 0; i--) piece += "ab"[random() % 2];
    }
    std::string text;
    size_t free_bytes = 0;
    for (size_t i = 0; i < pieces.size(); i++) {
      text += pieces[i];
      if (static_cast<int>(i) < min_tokens) free_bytes = text.size();
    }
    const size_t stop = text.find("aab", free_bytes);
    PlainReply reply({"aab"}, min_tokens);
    std::vector<Event> news;
    std::optional<std::string> stopped;
    for (const std::string& piece : pieces) {
      ReplyEvents out(kStream, news);
      reply.add(piece, 1, out);
      stopped = out.stopped_by();
      if (stopped) break;
    }
    if (!stopped) {
      ReplyEvents out(kStream, news);
      reply.finish(true, out);
    }
    std::string shown;
    for (const Event& event : news) shown += std::get<TextEvent>(event.payload).text;
    CHECK_EQ(shown, text.substr(0, stop));
    CHECK_EQ(stopped.has_value(), stop != std::string::npos);
  }
  PlainReply reply({"<|end|>"}, 1);
  std::vector<Event> news;
  ReplyEvents first(kStream, news);
  reply.control("<|end|>", first);
  CHECK(!first.stopped_by());
  reply.add("", 1, first);
  reply.control("<|end|>", first);
  CHECK(first.stopped_by());
}
