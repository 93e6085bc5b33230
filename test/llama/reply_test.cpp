// What is streamed of a reply is what llama.cpp's own parser reads in the whole of it: for every chat template that comes with the source, for
// replies as the template itself writes them, cut into random pieces, with answers of the parser that come late, and cut off anywhere.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>

#include "chat.h"
#include "check.h"
#include "llama.h"
#include "llama/reply_parser.h"
#include "log.h"
#include "reply/chat_reply.h"
#include "reply/text_assembler.h"

using namespace zse;

namespace {

constexpr StreamId kStream = 3;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Template {
  std::string name;
  common_chat_templates_ptr templates;
};

std::vector<Template> all_templates() {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  common_log_set_verbosity_thold(-1);
  std::vector<Template> all;
  for (const auto& entry : std::filesystem::directory_iterator(ZSE_LLAMA_DIR "/models/templates")) {
    if (entry.path().extension() != ".jinja") continue;
    try {
      all.push_back(
          {entry.path().filename().string(), common_chat_templates_init(nullptr, read_file(entry.path()), "<s>", "</s>")});
    } catch (const std::exception&) {  // one that llama.cpp cannot read either
    }
  }
  std::sort(all.begin(), all.end(), [](const Template& a, const Template& b) { return a.name < b.name; });
  return all;
}

common_chat_msg message(const std::string& role, const std::string& content) {
  common_chat_msg message;
  message.role = role;
  message.content = content;
  return message;
}

std::vector<common_chat_tool> some_tools() {
  return {
      {"get_weather", "The weather of a city",
       R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})"},
      {"save_note", "Keeps a note",
       R"({"type":"object","properties":{"title":{"type":"string"},"body":{"type":"string"},"stars":{"type":"integer"},)"
       R"("done":{"type":"boolean"},"tags":{"type":"array","items":{"type":"string"}},)"
       R"("place":{"type":"object","properties":{"x":{"type":"number"},"name":{"type":"string"}}}},"required":["title"]})"}};
}

/** What a model may say, by the parts that a template knows. */
std::vector<common_chat_msg> some_replies() {
  const common_chat_tool_call weather{"get_weather", R"({"city": "Paris"})", "call12345"};
  const common_chat_tool_call note{
      "save_note",
      R"({"title": "Käse \"und\" Brot", "body": "one\ntwo <b> & {x} [y]\n\\ 👋🏽", "stars": 5, "done": true, "tags": ["a", "b c"], "place": {"x": 1.5, "name": "da"}})",
      "call54321"};
  std::vector<common_chat_msg> all;
  const auto add = [&](std::string content, std::string thought, std::vector<common_chat_tool_call> calls) {
    common_chat_msg reply = message("assistant", content);
    reply.reasoning_content = std::move(thought);
    reply.tool_calls = std::move(calls);
    all.push_back(std::move(reply));
  };
  add("Hello, world!\nIt's 5 < 6, [1] {2} <b>é</b> 👋🏽.", "", {});
  add("Yes.", "Let me see: 1 < 2.\n\nSo <it> is.", {});
  add("", "", {weather});
  add("I look.", "", {weather});
  add("", "I need the weather.", {weather});
  add("", "", {note});
  add("Both.", "Two things.", {weather, note});
  return all;
}

struct Case {
  std::string text;  // the reply as it comes from a model
  std::shared_ptr<const ReplySyntax> syntax;
};

/** The reply as the template writes it into a history, without what ends the turn. */
std::optional<Case> written(const Template& t, const common_chat_msg& reply, bool tools, bool parallel) {
  common_chat_templates_inputs inputs;
  inputs.messages = {message("user", "Hi")};
  inputs.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  inputs.parallel_tool_calls = parallel;
  if (tools) inputs.tools = some_tools();
  try {
    const common_chat_params params = common_chat_templates_apply(t.templates.get(), inputs);
    common_chat_templates_inputs after = inputs;
    after.messages.push_back(reply);
    after.add_generation_prompt = false;
    const std::string whole = common_chat_templates_apply(t.templates.get(), after).prompt;
    size_t common = 0;
    while (common < std::min(whole.size(), params.prompt.size()) && whole[common] == params.prompt[common]) common++;
    Case found{whole.substr(common), reply_syntax(params, false, TextKind::kAny)};
    if (!found.syntax) return {};
    for (bool again = true; again;) {
      again = false;
      for (const char* end : {"<|im_end|>",
                              "</s>",
                              "<|eot_id|>",
                              "<|eom_id|>",
                              "<|end|>",
                              "<|return|>",
                              "<|call|>",
                              "<end_of_turn>",
                              "<turn|>",
                              "<|END_OF_TURN_TOKEN|>",
                              "<｜end▁of▁sentence｜>",
                              "<|eot|>",
                              "<|eom|>",
                              "[e~[",
                              "<|message_sep|>",
                              "<|end_of_msg|>",
                              "<|end_of_text|>",
                              "<|im_user|>",
                              "<|endoftext|>",
                              "\n"}) {
        const std::string_view marker = end;
        if (found.text.size() < marker.size() ||
            found.text.compare(found.text.size() - marker.size(), marker.size(), marker) != 0) {
          continue;
        }
        found.text.resize(found.text.size() - marker.size());
        again = true;
      }
    }
    return found;
  } catch (const std::exception&) {
    return {};  // the template refuses such a conversation
  }
}

struct Streamed {
  ParsedReply joined;
  ReplySummary summary;
  int tokens = 0;
};

/** One token for each piece; the parser's answers come when they come. */
Streamed stream(const Case& given, const std::string& text, bool complete, std::mt19937_64& random) {
  ChatReply reply({}, given.syntax);
  Streamed out;
  std::vector<Event> news;
  std::optional<ParseRequest> asked;
  const auto collect = [&] {
    for (Event& event : news) {
      CHECK(event.tokens > 0);
      out.tokens += event.tokens;
      if (auto* text_event = std::get_if<TextEvent>(&event.payload)) out.joined.content += text_event->text;
      if (auto* thought = std::get_if<ReasoningEvent>(&event.payload)) out.joined.reasoning += thought->text;
      if (auto* call = std::get_if<ToolCallEvent>(&event.payload)) {
        CHECK_EQ(call->name.has_value(), call->index == static_cast<int>(out.joined.calls.size()));
        if (call->name) out.joined.calls.push_back({*call->id, *call->name, ""});
        if (out.joined.calls.empty()) continue;
        CHECK_EQ(call->index + 1, static_cast<int>(out.joined.calls.size()));
        out.joined.calls.back().arguments += call->arguments;
      }
    }
    news.clear();
    if (!asked) asked = reply.take_request();
  };
  const auto answer = [&] {
    if (!asked) return;
    const ParsedReply read = asked->parser->parse(asked->text, asked->partial);
    asked.reset();
    ReplyEvents events(kStream, news);
    reply.parsed(read, events);
    collect();
  };
  for (size_t at = 0; at < text.size();) {
    const size_t size = std::min<size_t>(text.size() - at, 1 + random() % 6);
    ReplyEvents events(kStream, news);
    reply.add(std::string_view(text).substr(at, size), 1, events);
    collect();
    at += size;
    if (random() % 3 != 0) answer();
  }
  ReplyEvents events(kStream, news);
  reply.finish(complete, events);
  collect();
  for (int i = 0; i < 5 && reply.waits(); i++) answer();
  CHECK(!reply.waits());
  out.summary = reply.summary();
  return out;
}

std::string shown(const ParsedReply& reply) {
  std::string text = "thought " + reply.reasoning + "\ntext " + reply.content;
  for (const ParsedCall& call : reply.calls) text += "\ncall " + call.name + " " + call.arguments;
  return text;
}

bool begins(const std::string& text, const std::string& beginning) {
  return text.compare(0, beginning.size(), beginning) == 0;
}

/** Whether a reply has all of another reading of it; what it has beyond that is `more`. */
bool has_all(const ParsedReply& reply, const ParsedReply& read, std::string& more) {
  if (!begins(reply.reasoning, read.reasoning) || !begins(reply.content, read.content)) return false;
  if (reply.calls.size() < read.calls.size()) return false;
  more = reply.reasoning.substr(read.reasoning.size()) + reply.content.substr(read.content.size());
  for (size_t i = 0; i < reply.calls.size(); i++) {
    const ParsedCall call = i < read.calls.size() ? read.calls[i] : ParsedCall{};
    if (i < read.calls.size() && reply.calls[i].name != call.name) return false;
    if (!begins(reply.calls[i].arguments, call.arguments)) return false;
    more += reply.calls[i].arguments.substr(call.arguments.size());
  }
  return true;
}

/**
 * Of a cut reply the parser leaves out what it is not sure of: the end of arguments, or all of it where what follows may be none of the syntax. What
 * was streamed has all that it reads of the whole, and is what it reads of a beginning with the text behind that.
 */
bool is_read_of(const Streamed& streamed, const Case& given, const std::string& text) {
  const ReplyParser& parser = *given.syntax->parser;
  std::string more;
  if (!has_all(streamed.joined, parser.parse(text, true), more)) return false;
  for (size_t size = text.size() + 1; size-- > 0;) {
    if (complete_utf8_prefix(text.substr(0, size)) != size) continue;
    const ParsedReply read = parser.parse(text.substr(0, size), true);
    if (!read.matches || read.calls.size() != streamed.joined.calls.size() || !has_all(streamed.joined, read, more))
      continue;
    if (more.size() <= text.size() && text.compare(text.size() - more.size(), more.size(), more) == 0) return true;
  }
  return false;
}

}  // namespace

TEST("for every template, what is streamed of a reply is what llama.cpp reads in the whole of it") {
  std::mt19937_64 random(check::seed());
  int templates = 0, cases = 0, with_calls = 0, with_thoughts = 0;
  for (const Template& t : all_templates()) {
    bool any = false;
    for (const bool tools : {false, true}) {
      for (const common_chat_msg& reply : some_replies()) {
        if (!tools && !reply.tool_calls.empty()) continue;
        const std::optional<Case> given = written(t, reply, tools, true);
        if (!given) continue;
        const ParsedReply whole = given->syntax->parser->parse(given->text, false);
        // Some templates write what the parser does not take: Python's True in JSON, say.
        if (!whole.matches || whole.calls.size() != reply.tool_calls.size()) continue;
        any = true;
        cases++;
        with_calls += !whole.calls.empty();
        with_thoughts += !whole.reasoning.empty();
        for (int round = 0; round < 4; round++) {
          const Streamed streamed = stream(*given, given->text, true, random);
          if (shown(streamed.joined) != shown(whole)) std::cerr << t.name << ":\n" << given->text << "\n";
          CHECK_EQ(shown(streamed.joined), shown(whole));
          CHECK_EQ(streamed.summary.warning, "");
          CHECK_EQ(streamed.summary.called_tools, !whole.calls.empty());
        }
      }
    }
    templates += any;
  }
  std::cerr << templates << " templates, " << cases << " replies, " << with_calls << " with calls, " << with_thoughts
            << " with thoughts\n";
  CHECK(templates >= 50 && with_calls >= 150 && with_thoughts >= 60);
}

TEST("for every template, a reply that is cut off anywhere has been streamed as far as it can be read") {
  std::mt19937_64 random(check::seed());
  for (const Template& t : all_templates()) {
    for (const common_chat_msg& reply : some_replies()) {
      const std::optional<Case> given = written(t, reply, true, true);
      if (!given || given->text.empty()) continue;
      for (int round = 0; round < 4; round++) {
        std::string text = given->text.substr(0, random() % given->text.size());
        text.resize(complete_utf8_prefix(text));
        const ParsedReply whole = given->syntax->parser->parse(text, true);
        const Streamed streamed = stream(*given, text, false, random);
        if (streamed.summary.warning.empty() && whole.matches && shown(streamed.joined) != shown(whole)) {
          const bool read = is_read_of(streamed, *given, text);
          if (!read) std::cerr << t.name << ":\n" << text << "\n" << shown(streamed.joined) << "\n";
          CHECK(read);
        }
        CHECK(!streamed.summary.called_tools);
      }
    }
  }
}

TEST("for every template, what a reply that is cut in a call comes to does not depend on when the parser answered") {
  std::mt19937_64 random(check::seed());
  int cases = 0;
  for (const Template& t : all_templates()) {
    for (const common_chat_msg& reply : some_replies()) {
      const std::optional<Case> given = written(t, reply, true, true);
      if (!given || given->text.empty()) continue;
      const ParsedReply all = given->syntax->parser->parse(given->text, false);
      if (!all.matches || all.calls.size() != reply.tool_calls.size()) continue;
      for (int cut = 0; cut < 12; cut++) {
        std::string text = given->text.substr(0, random() % given->text.size());
        text.resize(complete_utf8_prefix(text));
        const ParsedReply whole = given->syntax->parser->parse(text, true);
        if (!whole.matches || whole.calls.empty()) continue;
        cases++;
        std::string expected;
        for (int round = 0; round < 4; round++) {
          const Streamed streamed = stream(*given, text, false, random);
          if (round == 0) expected = shown(streamed.joined);
          if (shown(streamed.joined) != expected || !streamed.summary.warning.empty())
            std::cerr << t.name << ":\n" << text << "\n";
          CHECK_EQ(shown(streamed.joined), expected);
          CHECK_EQ(streamed.summary.warning, "");
        }
      }
    }
  }
  CHECK(cases >= 500);
}

TEST("text that no syntax allows is given as text, once, with a warning") {
  std::mt19937_64 random(check::seed());
  for (const Template& t : all_templates()) {
    const std::optional<Case> given = written(t, some_replies()[3], true, true);
    if (!given) continue;
    for (const char* broken : {"Hm. <tool_call>{\"name\": \"get_weather\", nonsense", "[TOOL_CALLS]get_weather nonsense",
                               "<tool_call><tool_call><tool_call>", "</think></think><think>"}) {
      const ParsedReply whole = given->syntax->parser->parse(broken, false);
      if (whole.matches) continue;
      const Streamed streamed = stream(*given, broken, true, random);
      CHECK(!streamed.summary.warning.empty());
      CHECK(streamed.joined.content.size() <= std::string(broken).size());
      CHECK(!streamed.joined.content.empty() || !streamed.joined.calls.empty() || !streamed.joined.reasoning.empty());
    }
  }
}
