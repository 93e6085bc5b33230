#include "gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <functional>
#include <unordered_map>

#include "base/parallel.h"
#include "base/refuse.h"

namespace zse {

namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, SentencePiece's sign for a space

/** `<|…|>`, or one of the names that models' makers gave their control tokens. */
bool looks_like_control(std::string_view text) {
  if (text.size() > 4 && text.substr(0, 2) == "<|" && text.substr(text.size() - 2) == "|>") return true;
  static constexpr std::array<std::string_view, 15> kKnown = {
      "<s>",           "</s>",  "<bos>", "<eos>", "<pad>", "<unk>",  "<mask>", "<start_of_turn>",
      "<end_of_turn>", "[PAD]", "[UNK]", "[BOS]", "[EOS]", "[INST]", "[/INST]"};
  return std::find(kKnown.begin(), kKnown.end(), text) != kKnown.end();
}

bool is_byte_token(std::string_view text) {
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return text.size() == 6 && text.substr(0, 3) == "<0x" && text[5] == '>' && hex(text[3]) && hex(text[4]);
}

class Maker {
 public:
  Maker(const TokenizerData& data, std::string arch, int64_t rows, uint64_t offset, std::vector<std::string>& notes)
      : data_(data), arch_(std::move(arch)), offset_(offset), notes_(notes) {
    made_.tokens.resize(static_cast<size_t>(rows));
    made_.types.assign(static_cast<size_t>(rows), TokenType::kUnused);
  }

  GgufTokenizer make() {
    ids_.reserve(data_.vocab.size() + data_.added.size());
    for (const auto& [text, id] : data_.vocab) place(text, id, kVocab);
    for (const auto& [text, id] : data_.added) place_added(text, id);
    if (ids_.empty()) bad(kVocab, {}, "there are no tokens");
    choose_kind();
    set_types();
    name_gaps();
    if (made_.model == "llama")
      set_scores();
    else
      set_merges();
    choose_special_tokens();
    if (data_.source) made_.chat_template = data_.source->chat_template;
    return std::move(made_);
  }

 private:
  static constexpr const char *kVocab = "vocab", *kAdded = "added_tokens", *kMerges = "merges", *kSpecial = "special_tokens";

  /**
   * `list` has what is wrong, `text` is the text there. Generation 1 has both in JSON inside base64, so the list and the text say the
   * place, with the byte where all of it begins.
   */
  [[noreturn]] void bad(const std::string& list, std::string_view text, const std::string& what) const {
    uint64_t at = offset_;
    const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
    const Bytes& file = data_.file;
    if (file.data && std::less_equal<>()(file.data, bytes) && std::less<>()(bytes, file.data + file.size))
      at = static_cast<uint64_t>(bytes - file.data);
    const std::string path = !data_.source    ? list
                             : list[0] == 'a' ? "tokenizer.json, " + list
                                              : "tokenizer.json, model." + list;
    refuse(at, "the tokenizer is unusable (" + path + "): " + what);
  }

  bool has(std::string_view text) const { return ids_.count(text) > 0; }
  std::string_view text_of(int64_t id) const {
    return id >= 0 && id < static_cast<int64_t>(made_.tokens.size())
               ? std::string_view(made_.tokens[static_cast<size_t>(id)])
               : std::string_view();
  }

  void place(std::string_view text, int64_t id, const char* list) {
    if (id < 0 || id >= static_cast<int64_t>(made_.tokens.size())) {
      bad(list, text,
          "token \"" + std::string(text) + "\" has id " + std::to_string(id) + ", and the embedding matrix has " +
              std::to_string(made_.tokens.size()) + " rows");
    }
    std::string& at = made_.tokens[static_cast<size_t>(id)];
    if (!at.empty())
      bad(list, text, "tokens \"" + at + "\" and \"" + std::string(text) + "\" both have id " + std::to_string(id));
    if (text.empty() || text.find('\0') != std::string_view::npos) return;  // left as a gap: llama.cpp's texts end at a zero
    const auto [found, is_new] = ids_.emplace(text, id);
    if (!is_new) {  // the last of a repeated key counts
      made_.tokens[static_cast<size_t>(found->second)].clear();
      found->second = id;
    }
    at = text;
  }

  /** Generation 1 lists added tokens that are in the vocabulary too. */
  void place_added(std::string_view text, int64_t id) {
    const auto found = ids_.find(text);
    if (found == ids_.end())
      place(text, id, kAdded);
    else if (found->second != id)
      bad(kAdded, text, "token \"" + std::string(text) + "\" has two ids");
    added_.emplace(id);
  }

  void choose_kind() {
    bool all_bytes = true, marks = false;
    for (int byte = 0; byte < 256 && all_bytes; byte++) {
      char text[7];
      std::snprintf(text, sizeof text, "<0x%02X>", byte);
      all_bytes = has(text);
    }
    for (const std::string& text : made_.tokens) marks = marks || text.find(kSpaceMark) != std::string::npos;
    const auto& source = data_.source;
    if (all_bytes && marks) {
      made_.model = "llama";
      made_.pre = "default";
      made_.add_bos = source ? source->add_bos : true;
      made_.add_space_prefix = source ? source->add_space_prefix : arch_ != "gemma2";
      return;
    }
    if (!has("\xC4\xA0") && marks) {  // U+0120, byte-level BPE's space
      unsupported("its tokenizer is neither byte-level BPE nor SentencePiece with byte fallback");
    }
    made_.model = "gpt2";
    made_.add_space_prefix = false;
    if (source && source->pre_tokenizer.find("\\p{N}{1,3}") != std::string::npos)
      made_.pre = "llama-bpe";
    else if (source && source->pre_tokenizer.empty())
      made_.pre = "gpt-2";
    else if (arch_ == "qwen2")
      made_.pre = "qwen2";
    else if (has("<|begin_of_text|>") || has("<|eot_id|>"))
      made_.pre = "llama-bpe";
    else {
      made_.pre = "gpt-2";
      notes_.push_back(source ? "its tokenizer splits text by rules of its own; GPT-2's stand in for them"
                              : "the file does not say how its tokenizer splits text; GPT-2's way is a guess");
    }
    made_.add_bos = source ? source->add_bos : made_.pre == "llama-bpe";
    made_.nfc = source ? source->nfc : made_.pre == "qwen2";
  }

  void set_types() {
    for (int64_t id = 0; id < static_cast<int64_t>(made_.tokens.size()); id++) {
      const std::string_view text = text_of(id);
      if (text.empty()) continue;
      TokenType type = TokenType::kNormal;
      if (made_.model == "llama" && is_byte_token(text))
        type = TokenType::kByte;
      else if (text == "<unk>")
        type = made_.model == "llama" ? TokenType::kUnknown : TokenType::kControl;
      else if (data_.source && added_.count(id))
        type = data_.source->special.count(id) ? TokenType::kControl : TokenType::kUserDefined;
      else if (looks_like_control(text))
        type = TokenType::kControl;
      else if (added_.count(id))
        type = TokenType::kUserDefined;
      made_.types[static_cast<size_t>(id)] = type;
    }
  }

  /** llama.cpp wants a different text for each row of the embedding matrix. */
  void name_gaps() {
    for (size_t id = 0; id < made_.tokens.size(); id++) {
      if (!made_.tokens[id].empty()) continue;
      std::string name = "[PAD" + std::to_string(id) + "]";
      while (has(name)) name.insert(name.size() - 1, "_");
      made_.tokens[id] = std::move(name);
    }
  }

  /** SentencePiece merges by score where the source's BPE merges by rank: the first merge that makes a piece gives its score. */
  void set_scores() {
    made_.scores.assign(made_.tokens.size(), -static_cast<float>(data_.merges.size()) - 1);
    std::string piece;
    for (size_t rank = data_.merges.size(); rank-- > 0;) {
      piece.assign(data_.merges[rank].first).append(data_.merges[rank].second);
      const auto found = ids_.find(piece);
      if (found != ids_.end()) made_.scores[static_cast<size_t>(found->second)] = -static_cast<float>(rank);
    }
  }

  void set_merges() {
    made_.merges.resize(data_.merges.size());
    std::atomic<size_t> unknown{0};
    constexpr size_t kPart = 4096;
    parallel_for((data_.merges.size() + kPart - 1) / kPart, worker_count(0), [&](size_t part) {
      const size_t end = std::min((part + 1) * kPart, data_.merges.size());
      unknown += set_merges(part * kPart, end);
    });
    if (unknown > 0) notes_.push_back(std::to_string(unknown) + " merges name pieces that the vocabulary lacks");
  }

  /** How many of them name pieces that are no tokens. */
  size_t set_merges(size_t first, size_t end) {
    size_t unknown = 0;
    for (size_t i = first; i < end; i++) {
      const auto& [left, right] = data_.merges[i];
      if (left.empty() || right.empty() || left.find(' ') != std::string_view::npos ||
          right.find(' ') != std::string_view::npos) {
        bad(kMerges + ("[" + std::to_string(i) + "]"), left, "a part of the merge is empty or has a space in it");
      }
      if (!has(left) || !has(right)) unknown++;
      std::string& merge = made_.merges[i];
      merge.reserve(left.size() + 1 + right.size());
      merge.append(left).append(" ").append(right);
    }
    return unknown;
  }

  /** Generation 2 writes 1, 2, 0, 0 where it found nothing, so an id is believed only if its token is one of a control token's kind. */
  int64_t believed(int64_t id, const char* name) {
    const std::string_view text = text_of(id);
    if (data_.source) return text.empty() ? -1 : id;
    if (id >= static_cast<int64_t>(made_.tokens.size())) {
      bad(kSpecial, {},
          std::string(name) + " is " + std::to_string(id) + ", and the embedding matrix has " +
              std::to_string(made_.tokens.size()) + " rows");
    }
    if (!text.empty() && (added_.count(id) || looks_like_control(text))) return id;
    return -1;
  }

  void choose_special_tokens() {
    made_.bos_id = believed(data_.bos_id, "bos_id");
    made_.eos_id = believed(data_.eos_id, "eos_id");
    made_.pad_id = believed(data_.pad_id, "pad_id");
    made_.unk_id = believed(data_.unk_id, "unk_id");
    if (made_.eos_id < 0) {  // llama.cpp would take an ordinary token for the end
      for (const char* text :
           {"<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"}) {
        if (const auto found = ids_.find(text); made_.eos_id < 0 && found != ids_.end()) made_.eos_id = found->second;
      }
      notes_.push_back(made_.eos_id < 0
                           ? "the tokenizer has no token that ends a text"
                           : "the token that ends a text was told by its name: " + std::string(text_of(made_.eos_id)));
    }
    if (made_.bos_id < 0 && made_.add_bos) {
      made_.add_bos = false;
      notes_.push_back("the tokenizer has no token that begins a text");
    }
    // llama.cpp has ids of its own for what is not given; what never stands for anything is better than an ordinary token.
    const auto unused = std::find(made_.types.begin(), made_.types.end(), TokenType::kUnused);
    const int64_t spare = unused != made_.types.end() ? unused - made_.types.begin()
                          : made_.eos_id >= 0         ? made_.eos_id
                                                      : made_.pad_id;
    if (made_.eos_id < 0) made_.eos_id = spare;
    if (made_.bos_id < 0) made_.bos_id = made_.eos_id;
    if (made_.unk_id < 0 && made_.model == "llama") made_.unk_id = spare;
  }

  const TokenizerData& data_;
  std::string arch_;
  uint64_t offset_;
  std::vector<std::string>& notes_;
  GgufTokenizer made_;
  std::unordered_map<std::string_view, int64_t> ids_;
  std::unordered_set<int64_t> added_;
};

}  // namespace

GgufTokenizer make_gguf_tokenizer(const TokenizerData& data, const std::string& arch, int64_t rows, uint64_t offset,
                                  std::vector<std::string>& notes) {
  return Maker(data, arch, rows, offset, notes).make();
}

}  // namespace zse
