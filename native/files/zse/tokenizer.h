// Owns what a .zse file knows of its tokenizer, and what that becomes in GGUF. Plain data; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace zse {

/** As GGUF numbers them (tokenizer.ggml.token_type). */
enum class TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/** The tokenizer as the file stores it. */
struct TokenizerData {
  std::vector<std::pair<std::string_view, int64_t>> vocab;  // text and id, in the file's order, unchecked
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  std::vector<std::pair<std::string_view, int64_t>> added;     // added tokens; generation 2: those that vocab lacks
  int64_t bos_id = -1, eos_id = -1, pad_id = -1, unk_id = -1;  // -1: none

  /** What only generation 1 has, since it keeps the source's own tokenizer files. */
  struct Source {
    std::unordered_set<int64_t> special;  // ids of the added tokens that the source calls special
    std::string pre_tokenizer;            // its regular expressions, one after the other; empty: GPT-2's
    bool add_bos = false;
    bool nfc = false;
    bool add_space_prefix = true;
    std::string chat_template;  // Jinja, or ""
  };
  std::optional<Source> source;

  Bytes file;                              // of generation 2, whose texts are the file's own bytes: they say where they are
  std::shared_ptr<const void> keep_alive;  // of texts that are not in the file as they are
};

/** The tokenizer as GGUF metadata has it. */
struct GgufTokenizer {
  std::string model;  // "gpt2" (byte-level BPE) or "llama" (SentencePiece)
  std::string pre;    // "qwen2", "llama-bpe", "gpt-2", "default"
  std::vector<std::string> tokens;
  std::vector<float> scores;  // SentencePiece only
  std::vector<TokenType> types;
  std::vector<std::string> merges;                             // "left right"
  int64_t bos_id = -1, eos_id = -1, pad_id = -1, unk_id = -1;  // -1: none
  bool add_bos = false;
  bool add_space_prefix = true;
  bool nfc = false;           // texts are to be normalized to NFC before tokenizing
  std::string chat_template;  // the file's own, or ""
};

}  // namespace zse
