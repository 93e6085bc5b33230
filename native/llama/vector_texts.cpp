#include "vector_texts.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "core/info.h"
#include "model.h"
#include "prompt_limits.h"
#include "tokenize/input_ranges.h"

namespace zse {

PreparedTexts VectorTexts::of(const EmbedQuestion& question) const {
  PreparedTexts prepared;
  prepared.dimensions = question.dimensions;
  prepared.normalize = question.normalize;
  for (const TextOrTokens& given : question.texts) {
    const std::string name = "texts[" + std::to_string(prepared.texts.size()) + "]";
    const auto* text = std::get_if<std::string>(&given);
    std::vector<Token> tokens =
        text ? model_->tokenize_whole(model_->normalized(*text)) : std::get<std::vector<Token>>(given);
    if (tokens.empty())
      throw EngineError("BAD_OPTION", name + " has no tokens; give at least one character of text, or one token id");
    if (question.truncate) cut(tokens);
    check_fits(tokens.size(), name);
    prepared.texts.push_back(std::move(tokens));
  }
  return prepared;
}

PreparedTexts VectorTexts::of(const RerankQuestion& question) const {
  const auto room = static_cast<size_t>(model_->info().context_size);
  PreparedTexts prepared;
  prepared.normalize = false;
  for (const std::string& document : question.documents) {
    const std::string name = "the query with documents[" + std::to_string(prepared.texts.size()) + "]";
    std::vector<Token> tokens = pair_of(question, document);
    if (question.truncate && tokens.size() > room) {
      const size_t own = model_->tokenize(model_->normalized(document), false, false).size(), beyond = tokens.size() - room;
      // A token more, since a text that is cut may have another one at its end.
      if (own > beyond + 1) tokens = pair_of(question, beginning_of(document, own - beyond - 1));
    }
    check_fits(tokens.size(), name);
    prepared.texts.push_back(std::move(tokens));
  }
  return prepared;
}

/** As llama-server puts them together, but that what looks like a control token is text. */
std::vector<Token> VectorTexts::pair_of(const RerankQuestion& question, const std::string& document) const {
  if (const char* form = llama_model_chat_template(model_->get(), "rerank")) {
    return pair_in(form, model_->normalized(question.query), model_->normalized(document));
  }
  const llama_vocab* vocab = model_->vocab();
  const Token end = llama_vocab_eos(vocab) != LLAMA_TOKEN_NULL ? llama_vocab_eos(vocab) : llama_vocab_sep(vocab);
  const bool adds_end = model_->adds_end() && end != LLAMA_TOKEN_NULL;
  std::vector<Token> tokens;
  const auto append = [&](const std::vector<Token>& more) { tokens.insert(tokens.end(), more.begin(), more.end()); };
  if (llama_vocab_get_add_bos(vocab) && llama_vocab_bos(vocab) != LLAMA_TOKEN_NULL) tokens.push_back(llama_vocab_bos(vocab));
  append(model_->tokenize(model_->normalized(question.query), false, false));
  if (adds_end) tokens.push_back(end);
  if (llama_vocab_get_add_sep(vocab) && llama_vocab_sep(vocab) != LLAMA_TOKEN_NULL) tokens.push_back(llama_vocab_sep(vocab));
  append(model_->tokenize(model_->normalized(document), false, false));
  if (adds_end) tokens.push_back(end);
  return tokens;
}

/** `form`: the file's, with {query} and {document} in it. */
std::vector<Token> VectorTexts::pair_in(const std::string& form, const std::string& query,
                                        const std::string& document) const {
  constexpr std::string_view kQuery = "{query}", kDocument = "{document}";
  std::string text;
  std::vector<InputRange> input;
  for (size_t at = 0; at < form.size();) {
    const bool is_query = form.compare(at, kQuery.size(), kQuery) == 0;
    const bool is_document = form.compare(at, kDocument.size(), kDocument) == 0;
    if (!is_query && !is_document) {
      text += form[at++];
      continue;
    }
    const std::string& given = is_query ? query : document;
    input.push_back({text.size(), text.size() + given.size(), false});
    text += given;
    at += is_query ? kQuery.size() : kDocument.size();
    if (text.size() > kMostBytes)
      throw EngineError("BAD_OPTION", "the file's form for reranking repeats its texts too often");
  }
  const InputRanges ranges(input, rights_);
  const InputRanges::Scope scope(&ranges);
  return model_->tokenize(text, false, true);
}

std::string VectorTexts::beginning_of(const std::string& text, size_t tokens) const {
  std::vector<Token> all = model_->tokenize(model_->normalized(text), false, false);
  std::string beginning;
  for (size_t i = 0; i < std::min(tokens, all.size()); i++) model_->append_piece(all[i], beginning);
  if (model_->pads_texts() && !beginning.empty() && beginning.front() == ' ') beginning.erase(0, 1);
  while (!beginning.empty() && (static_cast<unsigned char>(beginning.back()) & 0xC0) == 0x80) beginning.pop_back();
  if (!beginning.empty() && static_cast<unsigned char>(beginning.back()) >= 0xC0) beginning.pop_back();
  return beginning;
}

void VectorTexts::check_fits(size_t tokens, const std::string& text) const {
  const auto room = static_cast<size_t>(model_->info().context_size);
  if (tokens <= room) return;
  throw EngineError("CONTEXT_OVERFLOW", text + " has " + std::to_string(tokens) + " tokens, and the context holds " +
                                            std::to_string(room) +
                                            "; shorten it, have it cut with truncate: true, or open the model with a larger "
                                            "contextSize");
}

/** Keeps the beginning of a text, and the token that ends it. */
void VectorTexts::cut(std::vector<Token>& tokens) const {
  const auto room = static_cast<size_t>(model_->info().context_size);
  if (tokens.size() <= room) return;
  const Token last = tokens.back();
  tokens.resize(room);
  if (llama_vocab_is_control(model_->vocab(), last)) tokens.back() = last;
}

}  // namespace zse
