// Owns what a template says of a reply's syntax: what is thought, what is text, what is a call of a tool. The real parser is llama.cpp's
// (llama/reply_parser); native/reply is tested with another. Immutable once made, so it may be used on any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace zse {

/** A call of a tool, as far as it has been written. */
struct ParsedCall {
  std::string id;  // "" where the model gives none
  std::string name;
  std::string arguments;  // JSON text
};

/** What a reply, or its beginning, is made of. */
struct ParsedReply {
  bool matches = true;  // false: it is not what the syntax allows; the rest is what could be read of it
  std::string reasoning, content;
  std::vector<ParsedCall> calls;
};

class ReplyParser {
 public:
  virtual ~ReplyParser() = default;

  /** Takes time and stack in proportion to the text: it runs on a prompt worker's thread, within a WorkBound. `partial`: more may follow. */
  virtual ParsedReply parse(const std::string& text, bool partial) const = 0;
};

/** What the first character of a reply says of what follows. */
enum class ReplyBegin { kUnknown, kContent, kReasoning };

struct ReplySyntax {
  std::shared_ptr<const ReplyParser> parser;
  /** Texts at which a part of a reply may end: up to the next one, text is of the same part as what is before it. */
  std::vector<std::string> marks;
  /** Control tokens that the syntax is made of, by their names: these are text to the parser. */
  std::vector<std::string> control_tokens;
  /** What a reply begins with, unless its first byte is one of these: then something of the syntax may stand there. */
  ReplyBegin begins = ReplyBegin::kUnknown;
  std::string signs;
  /** The text is one JSON value: what stands around it is not part of it. */
  bool json_text = false;
};

/** A text to be parsed, and whether it is all there will be. */
struct ParseRequest {
  std::shared_ptr<const ReplyParser> parser;
  std::string text;
  bool partial = true;
};

}  // namespace zse
