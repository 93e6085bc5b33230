// A reply with a syntax: its parts go out as they come, whatever its length the parser is asked few times, and its tokens are all paid for. The
// parser here knows "<t>…</t>" as a thought and "<c>name{…}" as a call.
#include "reply/chat_reply.h"

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench.h"
#include "check.h"

using namespace zse;

namespace {

constexpr StreamId kStream = 5;

class ToyParser final : public ReplyParser {
 public:
  ParsedReply parse(const std::string& text, bool partial) const override {
    parses++;
    ParsedReply reply;
    size_t at = 0;
    if (text.compare(0, 3, "<t>") == 0) {
      const size_t end = text.find("</t>");
      reply.reasoning = before_mark(text.substr(3, end == std::string::npos ? end : end - 3), partial);
      if (end == std::string::npos) return reply;
      at = end + 4;
    }
    size_t call = text.find("<c>", at);
    reply.content = before_mark(text.substr(at, call == std::string::npos ? call : call - at), partial);
    while (call != std::string::npos) {
      const size_t open = text.find('{', call), next = text.find("<c>", call + 3);
      if (open == std::string::npos || open > next) {
        reply.matches = partial;
        return reply;
      }
      JsonScan scan;
      const size_t taken = scan.take(std::string_view(text).substr(open, next == std::string::npos ? next : next - open));
      if (!scan.closed() && !partial) reply.matches = false;
      reply.calls.push_back({"", text.substr(call + 3, open - call - 3), text.substr(open, taken)});
      call = next;
    }
    return reply;
  }

  mutable int parses = 0;

 private:
  /** Without what may be the beginning of a mark. */
  static std::string before_mark(std::string text, bool partial) {
    for (size_t size = 3; partial && size > 0; size--) {
      for (const std::string mark : {"<c>", "</t>"}) {
        if (text.size() >= size && text.compare(text.size() - size, size, mark, 0, size) == 0) {
          text.resize(text.size() - size);
          return text;
        }
      }
    }
    return text;
  }
};

std::shared_ptr<ReplySyntax> toy_syntax(std::shared_ptr<const ReplyParser> parser = std::make_shared<ToyParser>()) {
  auto syntax = std::make_shared<ReplySyntax>();
  syntax->parser = std::move(parser);
  syntax->marks = {"<c>", "</t>"};
  syntax->control_tokens = {"<|call|>"};
  return syntax;
}

/** A reply that is fed by hand. */
struct Fed {
  std::shared_ptr<ToyParser> parser = std::make_shared<ToyParser>();
  ChatReply reply;
  std::string seen;  // T for a thought, C for a call's name, M for what was to be a call
  int tokens = 0;

  explicit Fed(std::vector<std::string> stops = {}) : reply(std::move(stops), toy_syntax(parser)) {}

  void add(const std::string& bytes, bool answered = true) {
    ReplyEvents events(kStream, news_);
    reply.add(bytes, 1, events);
    collect();
    if (answered) answer();
  }
  bool answer() {
    const std::optional<ParseRequest> request = reply.take_request();
    if (!request) return false;
    ReplyEvents events(kStream, news_);
    reply.parsed(request->parser->parse(request->text, request->partial), events);
    collect();
    return true;
  }
  void finish(bool complete = true) {
    ReplyEvents events(kStream, news_);
    reply.finish(complete, events);
    collect();
    while (reply.waits() && answer()) continue;
    CHECK(!reply.waits());
  }

 private:
  void collect() {
    for (Event& event : news_) {
      CHECK(event.tokens > 0);
      tokens += event.tokens;
      if (auto* text = std::get_if<TextEvent>(&event.payload)) seen += text->text;
      if (auto* thought = std::get_if<ReasoningEvent>(&event.payload)) seen += "T" + thought->text;
      if (auto* call = std::get_if<ToolCallEvent>(&event.payload))
        seen += (call->name ? "C" + *call->name : "") + call->arguments;
      if (auto* malformed = std::get_if<MalformedCallEvent>(&event.payload)) {
        seen += "M" + malformed->text;
        CHECK_EQ(malformed->reason, reply.summary().warning);
      }
    }
    news_.clear();
  }
  std::vector<Event> news_;
};

}  // namespace

TEST("thoughts, text and calls go out as they come, in order") {
  Fed fed;
  fed.add("<t>hm");
  CHECK_EQ(fed.seen, "Thm");
  fed.add(" so", false);  // no answer is waited for
  CHECK_EQ(fed.seen, "ThmT so");
  fed.add("</");
  CHECK_EQ(fed.seen, "ThmT so");  // it may be the end of the thought
  fed.add("t>Let");
  fed.add(" me <");
  fed.add("b> see ", false);
  CHECK_EQ(fed.seen, "ThmT soLet me <b> see ");
  fed.add("<c>f{\"a\"");
  fed.add(": [1,", false);
  fed.add(" \"}\"", false);
  fed.add("]}", false);
  CHECK_EQ(fed.seen, "ThmT soLet me <b> see Cf{\"a\": [1, \"}\"]}");
  fed.finish();
  CHECK(fed.reply.summary().called_tools);
  CHECK_EQ(fed.reply.summary().warning, "");
  CHECK_EQ(fed.reply.summary().reasoning_tokens, 2);
}

TEST("however long a call's arguments are, the parser is asked few times, and every token is paid for once") {
  std::mt19937_64 random(check::seed());
  for (const int size : {10, 1000, 20000}) {
    Fed fed;
    std::string text = "<c>f{\"a\": \"";
    for (int i = 0; i < size; i++) text += i % 50 == 0 ? "<c>{[" : "word ";
    text += "\"}";
    int pieces = 0;
    for (size_t at = 0; at < text.size(); pieces++) {
      const size_t length = std::min<size_t>(text.size() - at, 1 + random() % 8);
      fed.add(text.substr(at, length));
      at += length;
    }
    fed.finish();
    CHECK(fed.parser->parses < 20);
    CHECK(fed.tokens >= pieces && fed.tokens <= pieces + 2);
  }
}

TEST("marks that mean nothing do not make a reply's cost grow with the square of its length") {
  Fed fed;
  std::string text;
  for (int i = 0; i < 20000; i++) {
    fed.add("</t>");
    text += "</t>";
  }
  fed.finish();
  CHECK_EQ(fed.seen, text);
  CHECK(fed.parser->parses < 2000);
}

TEST("a call that is not written to its end is text, or what has been seen of it, and says so") {
  Fed broken;
  broken.add("Well. ");
  broken.add("<c>f nonsense");
  broken.finish();
  CHECK_EQ(broken.seen, "Well. <c>f nonsenseM<c>f nonsense");
  CHECK(!broken.reply.summary().warning.empty());
  CHECK(!broken.reply.summary().called_tools);

  Fed cut;
  cut.add("<c>f{\"a\": 1");
  cut.finish(false);
  CHECK_EQ(cut.seen, "Cf{\"a\": 1");
  CHECK(!cut.reply.summary().called_tools);
}

TEST("calls of the whole reply are not lost where its beginning read as text, and neither is what of it is no call") {
  /** Takes everything for text until all of it is there. */
  class LateParser final : public ReplyParser {
   public:
    ParsedReply parse(const std::string& text, bool partial) const override {
      if (!partial) return toy_.parse(text, false);
      ParsedReply reply;
      reply.content = text;
      return reply;
    }

   private:
    ToyParser toy_;
  };
  const auto said = [](const std::vector<std::string>& pieces) {
    ChatReply reply({}, toy_syntax(std::make_shared<LateParser>()));
    std::vector<Event> news;
    ReplyEvents events(kStream, news);
    const auto answer = [&] {
      while (const std::optional<ParseRequest> request = reply.take_request()) {
        reply.parsed(request->parser->parse(request->text, request->partial), events);
      }
    };
    for (const std::string& piece : pieces) {
      reply.add(piece, 1, events);
      answer();
    }
    reply.finish(true, events);
    answer();
    std::string seen;
    for (Event& event : news) {
      if (auto* text = std::get_if<TextEvent>(&event.payload)) seen += text->text;
      if (auto* call = std::get_if<ToolCallEvent>(&event.payload))
        seen += (call->name ? "C" + *call->name : "") + call->arguments;
      if (auto* malformed = std::get_if<MalformedCallEvent>(&event.payload)) seen += "M" + malformed->text;
    }
    CHECK(!reply.summary().warning.empty());
    return seen + (reply.summary().called_tools ? "!" : "");
  };
  CHECK_EQ(said({"<c>f", "{}"}), "<c>f{}Cf{}!");
  CHECK_EQ(said({"<t>a", "</t>b"}), "<t>a</t>bM");
}

TEST("what a cut reply comes to is what was written, whenever the parser answered, and no call of it is malformed") {
  /** As llama.cpp's: of what may go on it leaves out spaces, numbers and half of an escape. */
  class CautiousParser final : public ReplyParser {
   public:
    ParsedReply parse(const std::string& text, bool partial) const override {
      ParsedReply reply = toy_.parse(text, partial);
      if (!partial || reply.calls.empty()) return reply;
      std::string& arguments = reply.calls.back().arguments;
      while (!arguments.empty() && std::string(" \n\\0123456789").find(arguments.back()) != std::string::npos)
        arguments.pop_back();
      return reply;
    }

   private:
    ToyParser toy_;
  };
  const std::vector<std::string> pieces = {
      "<t>so", "</t>", "I look ", "<c>f", "{\"n\":", " 12", ", \"s\": \"a ", "\\", "n "};
  for (size_t size = 1; size <= pieces.size(); size++) {
    std::string expected;
    for (unsigned answers = 0; answers < (1U << size); answers++) {
      ChatReply reply({}, toy_syntax(std::make_shared<CautiousParser>()));
      std::vector<Event> news;
      ReplyEvents events(kStream, news);
      const auto answer = [&] {
        const std::optional<ParseRequest> request = reply.take_request();
        if (request) reply.parsed(request->parser->parse(request->text, request->partial), events);
      };
      for (size_t i = 0; i < size; i++) {
        reply.add(pieces[i], 1, events);
        if (answers >> i & 1) answer();
      }
      reply.finish(false, events);
      for (int i = 0; i < 5 && reply.waits(); i++) answer();
      std::string thought, text, calls;
      for (Event& event : news) {
        CHECK(!std::holds_alternative<MalformedCallEvent>(event.payload));
        if (auto* item = std::get_if<ReasoningEvent>(&event.payload)) thought += item->text;
        if (auto* item = std::get_if<TextEvent>(&event.payload)) text += item->text;
        if (auto* item = std::get_if<ToolCallEvent>(&event.payload)) calls += item->name.value_or("") + item->arguments;
      }
      CHECK_EQ(reply.summary().warning, "");
      const std::string said = thought + "|" + text + "|" + calls;
      if (answers == 0) expected = said;
      CHECK_EQ(said, expected);
    }
    if (size == pieces.size()) CHECK_EQ(expected, "so|I look |f{\"n\": 12, \"s\": \"a \\n ");
  }
}

TEST("tokens that show nothing cost credit, too") {
  Fed fed;
  for (int i = 0; i < 100; i++) fed.add("<c>");
  CHECK(fed.tokens >= 80);
}

TEST("a control token of the syntax is part of the text that is parsed, another one is not") {
  Fed fed;
  std::vector<Event> news;
  ReplyEvents events(kStream, news);
  fed.reply.control("<|call|>", events);
  fed.reply.control("<|other|>", events);
  const std::optional<ParseRequest> request = fed.reply.take_request();
  CHECK(request && request->text == "<|call|>");
}

TEST("a reply's end waits for its parser, its slot does not, and a cancel ends it") {
  for (const char* how : {"answered", "cancelled", "closed"}) {
    std::vector<std::pair<StreamId, ParseRequest>> asked;
    Bench bench(1, 64, {}, 64, {}, true, nullptr,
                [&](StreamId id, ParseRequest request) { asked.emplace_back(id, std::move(request)); });
    bench.decoder.model.end_one_in = 0;
    auto request = bench.request(make_prompt(10, 0));
    request.prepared.syntax = toy_syntax();
    request.settings.max_tokens = 5;
    const StreamId id = bench.submit(std::move(request));
    bench.run_until_idle();
    CHECK_EQ(bench.ends[id], 0);
    CHECK_EQ(bench.stats.free_slots.load(), 1);
    if (std::string(how) == "cancelled") {
      bench.cancel(id);
      bench.run_until_idle();
      CHECK(bench.finished[id].reason == FinishReason::kCancelled);
    } else if (std::string(how) == "closed") {
      bench.scheduler.finish_all();
      bench.collect();
    } else {
      for (int i = 0; i < 10 && bench.ends[id] == 0; i++) {
        for (auto& [stream, asking] : std::exchange(asked, {})) {
          bench.inbox.push(ParsedCommand{stream, asking.parser->parse(asking.text, asking.partial)});
        }
        bench.run_until_idle();
      }
      CHECK(bench.finished[id].reason == FinishReason::kLength);
      CHECK_EQ(bench.text[id], bench.expected(id, 10, 5));
    }
    CHECK_EQ(bench.ends[id], 1);
    bench.inbox.push(ParsedCommand{id, {}});  // one that comes too late
    bench.run_until_idle();
    CHECK_EQ(bench.ends[id], 1);
  }
}
