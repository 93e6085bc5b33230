// Owns what keeps roles from being forged: a prompt's text that knows which of its bytes came from its template, and its tokens. A control
// token's text in a message, a tool or a name stays text; all other prompts have the tokens that llama.cpp gives them. Any thread, under
// a WorkBound.
#pragma once

#include <string>
#include <vector>

#include "core/ids.h"
#include "tokenize/input_ranges.h"

struct llama_vocab;
struct common_chat_prompt;

namespace zse {

/** A text, and which parts of it others than its template wrote; none for a text that is what its author wants token by token. */
struct MarkedText {
  std::string text;
  std::vector<InputRange> input;
};

MarkedText marked_text(common_chat_prompt&& prompt);

/**
 * Where each token of a vocabulary may be read. Control tokens, and words of the vocabulary that are as good as that: in the template alone.
 * Words that are tags of a reply (<think>, <tool_call>): there, and in what the assistant said. Other words: everywhere.
 */
std::vector<TokenRight> token_rights(const llama_vocab* vocab, const std::string& template_text);

/** Token ids, with the vocabulary's own BOS. Throws WorkStopped. */
std::vector<Token> tokenize_marked(const llama_vocab* vocab, const std::vector<TokenRight>& rights,
                                   const MarkedText& marked);

}  // namespace zse
