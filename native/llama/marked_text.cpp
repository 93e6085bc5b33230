#include "marked_text.h"

#include <string_view>
#include <utility>

#include "chat.h"
#include "common.h"
#include "llama.h"
#include "shown_tokens.h"
#include "tokenize/word_finder.h"

namespace zse {

namespace {

/** "<tool_call>", "[INST]": neither a run of spaces nor a word that a tokenizer was given for brevity's sake. */
bool looks_like_tag(std::string_view text) {
  bool bracket = false;
  for (const char c : text) {
    if (c == ' ' || (c >= '\t' && c <= '\r')) return false;
    bracket |= c == '<' || c == '>' || c == '[' || c == ']';
  }
  return bracket;
}

/** "<|im_start|>": whoever names a token so means no word, whatever attribute a conversion gave it. */
bool looks_like_control(std::string_view text) {
  return text.size() > 4 && text.substr(0, 2) == "<|" && text.substr(text.size() - 2) == "|>";
}

}  // namespace

MarkedText marked_text(common_chat_prompt&& prompt) {
  MarkedText marked;
  marked.input.reserve(prompt.input.size());
  for (const auto& range : prompt.input) marked.input.push_back({range.begin, range.end, range.own});
  marked.text = std::move(static_cast<std::string&>(prompt));
  return marked;
}

std::vector<TokenRight> token_rights(const llama_vocab* vocab, const std::string& template_text) {
  const Token count = llama_vocab_n_tokens(vocab);
  std::vector<TokenRight> rights(static_cast<size_t>(count), TokenRight::kAnywhere);
  WordFinder tags;
  for (Token token = 0; token < count; token++) {
    const auto attributes = static_cast<unsigned>(llama_vocab_get_attr(vocab, token));
    const std::string_view text = llama_vocab_get_text(vocab, token);
    TokenRight& right = rights[static_cast<size_t>(token)];
    if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0) {
      right = TokenRight::kTemplateOnly;
    } else if ((attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0) {
      if (is_shown_tag(text)) {
        right = TokenRight::kOwnWords;
      } else if (looks_like_control(text) || llama_vocab_is_eog(vocab, token)) {
        right = TokenRight::kTemplateOnly;
      } else if (looks_like_tag(text)) {
        tags.add(text, static_cast<uint32_t>(token));
      }
    }
  }
  tags.finish();
  tags.find(template_text, [&](uint32_t token, size_t) { rights[token] = TokenRight::kTemplateOnly; });
  return rights;
}

std::vector<Token> tokenize_marked(const llama_vocab* vocab, const std::vector<TokenRight>& rights,
                                   const MarkedText& marked) {
  const InputRanges ranges(marked.input, rights);
  const InputRanges::Scope scope(&ranges);
  return common_tokenize(vocab, marked.text, true, true);
}

}  // namespace zse
