// Owns llama.cpp's parser of replies, as the rest of the house sees it: made of what a template's analysis gives for one request. Immutable.
#pragma once

#include <memory>
#include <vector>

#include "core/reply_parser.h"

struct common_chat_params;

namespace zse {

/**
 * Null where replies are text and nothing else. `continued`: the prompt ends with the beginning of the reply, which is left out. `json_text`: the
 * request holds the text to a schema.
 */
std::shared_ptr<const ReplySyntax> reply_syntax(const common_chat_params& params, bool continued, bool json_text);

}  // namespace zse
