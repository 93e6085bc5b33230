// Owns what a .zse file knows of its tokenizer, and what that becomes in GGUF. Plain data; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zse {

/** As GGUF numbers them (tokenizer.ggml.token_type). */
enum class TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/** The tokenizer as the file stores it. Texts point into the file, or into `storage`. */
struct TokenizerData {
  std::vector<std::pair<std::string_view, int64_t>> vocab;  // text and id, ids distinct and below vocab_size
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  std::vector<std::pair<std::string_view, int64_t>> added;  // added tokens; generation 2: those that vocab lacks
  std::vector<int64_t> added_special;                       // ids of those that the source calls special; generation 1 only
  int64_t bos_id = -1, eos_id = -1, pad_id = -1, unk_id = -1;  // believed; -1: none
  std::optional<bool> add_bos;                                 // what the source's post-processor does; generation 1 only
  std::optional<std::string> pre;                              // pre-tokenizer told from the source's own; generation 1 only
  std::optional<bool> nfc;                                     // the source normalizes to NFC; generation 1 only
  std::optional<bool> add_space_prefix;                        // generation 1 only
  std::optional<std::string> chat_template;                    // the source's own; generation 1 only
  std::vector<std::string> notes;                              // what was guessed or left out, sentences for people
  std::string storage;                                         // of texts that had to be unescaped
};

/** The tokenizer as GGUF metadata has it. */
struct GgufTokenizer {
  std::string model;  // "gpt2" (byte-level BPE) or "llama" (SentencePiece)
  std::string pre;    // "qwen2", "llama-bpe", "gpt-2", "default"
  std::vector<std::string> tokens;
  std::vector<float> scores;  // SentencePiece only
  std::vector<TokenType> types;
  std::vector<std::string> merges;  // "left right"
  int64_t bos_id = -1, eos_id = -1, eot_id = -1, pad_id = -1, unk_id = -1;
  bool add_bos = false;
  bool add_space_prefix = true;
  bool nfc = false;  // texts are to be normalized to NFC before tokenizing
};

}  // namespace zse
