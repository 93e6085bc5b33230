// Owns llama.cpp's parser of replies, as the rest of the house sees it: made of what a template's analysis gives for one request. Prompt workers' threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/reply_parser.h"
#include "kept.h"

struct common_chat_params;

namespace zse {

/** What a request holds the text of its reply to. */
enum class TextKind {
  kAny,
  kJson,
  kJsonBesideCalls,  // the parser knows of the calls alone: what it cannot read is the text
};

/** Null where replies are text and nothing else. `continued`: the prompt ends with the beginning of the reply, which is left out. */
std::shared_ptr<const ReplySyntax> reply_syntax(const common_chat_params& params, bool continued, TextKind text);

/** The syntaxes of the last requests. An agent asks with the same tools again and again, and to read the parser of 30 takes ten milliseconds. Any thread. */
class ReplySyntaxes {
 public:
  /** reply_syntax(), or what it was the last time. */
  std::shared_ptr<const ReplySyntax> of(const common_chat_params& params, bool continued, TextKind text);

 private:
  Kept<ReplySyntax> kept_{16};
};

}  // namespace zse
