#include "reply_parser.h"

#include <algorithm>
#include <exception>
#include <set>
#include <string>
#include <utility>

#include "base/spaces.h"
#include "chat.h"

namespace zse {

namespace {

constexpr size_t kLongestKept = size_t{256} << 10;  // bytes of a saved parser

/** What could have begun a call is left out by llama.cpp even where the text has ended: the ] of an array, with MiniMax's tags. */
void with_its_end(const std::string& text, std::string& content) {
  const size_t at = content.empty() ? std::string::npos : text.rfind(content);
  if (at != std::string::npos) content = text.substr(at, text.find_last_not_of(kSpaces) + 1 - at);
}

class LlamaReplyParser final : public ReplyParser {
 public:
  LlamaReplyParser(const common_chat_params& params, bool continued, TextKind text)
      : params_(params), beside_calls_(text == TextKind::kJsonBesideCalls) {
    params_.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
    params_.parser.load(params.parser);
    if (continued) begun_ = parse("", true);
  }

  ParsedReply parse(const std::string& text, bool partial) const override {
    ParsedReply reply;
    common_chat_msg message;
    try {
      message = common_chat_parse(text, partial, params_);
    } catch (const std::exception&) {  // it says no more than that, in many words
      const size_t begin = text.find_first_not_of(kSpaces);
      reply.matches = beside_calls_ && begin != std::string::npos;
      if (reply.matches) reply.content = text.substr(begin);
      return reply;
    }
    reply.reasoning = without(begun_.reasoning, std::move(message.reasoning_content));
    reply.content = without(begun_.content, std::move(message.content));
    if (beside_calls_) {
      reply.content.erase(0, reply.content.find_first_not_of(kSpaces));  // of JSON they are no part
      if (!partial && message.tool_calls.empty()) with_its_end(text, reply.content);
    }
    for (common_chat_tool_call& call : message.tool_calls) {
      reply.calls.push_back({std::move(call.id), std::move(call.name), std::move(call.arguments)});
    }
    return reply;
  }

 private:
  static std::string without(const std::string& beginning, std::string text) {
    return text.compare(0, beginning.size(), beginning) == 0 ? text.substr(beginning.size()) : text;
  }

  common_chat_parser_params params_;
  const bool beside_calls_;
  ParsedReply begun_;  // by the prompt
};

/** What of a saved parser says where parts of a reply may end and begin. */
void read_signs(const std::string& saved_parser, ReplySyntax& syntax) {
  std::set<std::string> marks;
  std::set<char> signs{' ', '\n', '\r', '\t'};  // a parser may skip spaces
  const common_json saved = common_json::parse(saved_parser);
  for (const auto& parser : saved.at("parsers")) {
    if (parser.contains("delimiters")) {  // it takes what comes up to one of these as one part
      for (const auto& delimiter : parser.at("delimiters")) marks.insert(delimiter.get<std::string>());
    }
    if (parser.contains("literal")) {
      const std::string literal = parser.at("literal").get<std::string>();
      if (!literal.empty()) signs.insert(literal.front());
    }
  }
  syntax.marks = {marks.begin(), marks.end()};
  syntax.signs = {signs.begin(), signs.end()};
}

ReplyBegin beginning(const ReplyParser& parser, const std::string& signs) {
  for (const char letter : std::string("AQZaqz")) {
    if (signs.find(letter) != std::string::npos) continue;
    const std::string text(1, letter);
    const ParsedReply reply = parser.parse(text, true);
    if (reply.matches && reply.content == text) return ReplyBegin::kContent;
    if (reply.matches && reply.reasoning == text) return ReplyBegin::kReasoning;
    return ReplyBegin::kUnknown;
  }
  return ReplyBegin::kUnknown;
}

}  // namespace

std::shared_ptr<const ReplySyntax> reply_syntax(const common_chat_params& params, bool continued, TextKind text) {
  auto syntax = std::make_shared<ReplySyntax>();
  read_signs(params.parser, *syntax);
  if (syntax->marks.empty() && params.grammar.empty()) return nullptr;
  syntax->parser = std::make_shared<LlamaReplyParser>(params, continued, text);
  syntax->control_tokens = params.preserved_tokens;
  syntax->json_text = text != TextKind::kAny;
  if (!syntax->json_text) syntax->begins = beginning(*syntax->parser, syntax->signs);
  return syntax;
}

std::shared_ptr<const ReplySyntax> ReplySyntaxes::of(const common_chat_params& params, bool continued, TextKind text) {
  if (params.parser.size() > kLongestKept) return reply_syntax(params, continued, text);
  std::string key = params.parser + '\0' + params.generation_prompt + '\0' + std::to_string(params.format);
  for (const std::string& token : params.preserved_tokens) key += '\0' + token;
  key += {'\0', continued ? 'c' : ' ', static_cast<char>('0' + static_cast<int>(text)), params.grammar.empty() ? ' ' : 'g'};
  if (const auto [known, kept] = kept_.find(key); known) return kept;
  std::shared_ptr<const ReplySyntax> made = reply_syntax(params, continued, text);  // it may be stopped
  kept_.keep(std::move(key), made);
  return made;
}

}  // namespace zse
