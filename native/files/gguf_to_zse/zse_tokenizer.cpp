#include "zse_tokenizer.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "base/error.h"
#include "files/zse/tokenizer.h"
#include "value_writer.h"

namespace zse {

namespace {

using Pair = std::pair<std::string_view, std::string_view>;

template <class Number>
std::vector<Number> numbers(const gguf::Header& source, const char* key, size_t count) {
  const gguf::Value* value = source.find(key);
  if (!value || value->bytes.size() < count * sizeof(Number)) return {};
  std::vector<Number> all(count);
  std::memcpy(all.data(), value->bytes.data(), count * sizeof(Number));
  return all;
}

/** "left right", split at the space that the left part does not begin with. */
std::vector<Pair> stored_merges(const gguf::Header& source) {
  std::vector<Pair> merges;
  for (const std::string_view text : source.texts("tokenizer.ggml.merges").value_or(std::vector<std::string_view>{})) {
    const size_t space = text.find(' ', 1);
    if (space == std::string_view::npos)
      throw EngineError("BAD_MODEL", "the merge \"" + gguf::shown(text) + "\" has no two parts");
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

/**
 * SentencePiece has scores in place of merges: a piece may come from any two pieces that make it up, the better score first. This is
 * how Hugging Face's converters derive merges for such a vocabulary too.
 */
std::vector<Pair> merges_from_scores(const std::vector<std::string_view>& pieces, const std::vector<TokenType>& types,
                                     const std::vector<float>& scores) {
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < pieces.size(); id++) {
    if (types[id] == TokenType::kNormal) ids.emplace(pieces[id], id);
  }
  std::vector<std::tuple<float, size_t, size_t, Pair>> found;  // score, ids of the parts
  for (const auto& [piece, id] : ids) {
    for (size_t cut = 1; cut < piece.size(); cut++) {
      const auto left = ids.find(piece.substr(0, cut)), right = ids.find(piece.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      found.emplace_back(-scores[id], left->second, right->second, Pair{left->first, right->first});
    }
  }
  std::sort(found.begin(), found.end());
  std::vector<Pair> merges;
  merges.reserve(found.size());
  for (const auto& one : found) merges.push_back(std::get<Pair>(one));
  return merges;
}

}  // namespace

std::string write_tokenizer(const gguf::Header& source, std::vector<std::string>& notes) {
  const std::string model(source.text("tokenizer.ggml.model").value_or(""));
  if (model != "gpt2" && model != "llama") {
    throw EngineError("UNSUPPORTED", "a .zse file holds byte-level BPE and SentencePiece tokenizers; this file's is \"" +
                                         gguf::shown(model) + "\"");
  }
  const bool sentence_piece = model == "llama";
  const std::vector<std::string_view> pieces =
      source.texts("tokenizer.ggml.tokens").value_or(std::vector<std::string_view>{});
  std::vector<TokenType> types(pieces.size(), TokenType::kNormal);
  if (const auto stored = numbers<int32_t>(source, "tokenizer.ggml.token_type", pieces.size()); !stored.empty()) {
    std::transform(stored.begin(), stored.end(), types.begin(), [](int32_t type) { return static_cast<TokenType>(type); });
  }

  std::vector<size_t> vocabulary, added;
  for (size_t id = 0; id < pieces.size(); id++) {
    const bool filler = types[id] == TokenType::kUnused && pieces[id] == "[PAD" + std::to_string(id) + "]";
    const bool special = types[id] == TokenType::kControl || types[id] == TokenType::kUserDefined;
    if (filler || pieces[id].empty()) continue;  // readers fill ids that are missing
    // SentencePiece's own control pieces (<s>, <unk>, <0x0A>) are part of its vocabulary.
    (special && !(sentence_piece && id < 3) ? added : vocabulary).push_back(id);
  }
  std::vector<Pair> merges = stored_merges(source);
  if (sentence_piece && merges.empty()) {
    const std::vector<float> scores = numbers<float>(source, "tokenizer.ggml.scores", pieces.size());
    if (scores.empty()) throw EngineError("UNSUPPORTED", "the SentencePiece vocabulary has no scores to derive merges from");
    merges = merges_from_scores(pieces, types, scores);
    notes.push_back("merges were derived from the vocabulary's scores");
  }

  ValueWriter out;
  out.map(4);
  out.text("vocab");
  out.map(vocabulary.size());
  for (const size_t id : vocabulary) {
    out.text(pieces[id]);
    out.integer(static_cast<int64_t>(id));
  }
  out.text("merges");
  out.list(merges.size());
  for (const auto& [left, right] : merges) {
    out.list(2);
    out.text(left);
    out.text(right);
  }
  out.text("special_tokens");
  out.map(4);
  const auto special = [&](const char* name, const char* key, int64_t otherwise) {
    const auto id = source.uint32(key);
    out.text(name);
    out.integer(id && *id < pieces.size() ? static_cast<int64_t>(*id) : otherwise);
  };
  special("bos_id", "tokenizer.ggml.bos_token_id", 1);  // what the format's own writer puts where it knows nothing
  special("eos_id", "tokenizer.ggml.eos_token_id", 2);
  special("pad_id", "tokenizer.ggml.padding_token_id", 0);
  special("unk_id", "tokenizer.ggml.unknown_token_id", 0);
  out.text("added_tokens");
  out.map(added.size());
  for (const size_t id : added) {
    out.text(pieces[id]);
    out.integer(static_cast<int64_t>(id));
  }
  return out.bytes();
}

}  // namespace zse
