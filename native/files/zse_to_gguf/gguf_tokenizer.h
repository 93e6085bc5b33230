// Owns what a .zse tokenizer becomes in GGUF: the kind of tokenizer, token types, scores, special tokens, and the guesses that
// generation 2 makes necessary, which stores little more than vocabulary and merges. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "files/zse/tokenizer.h"

namespace zse {

/**
 * `arch` as in ModelConfig; `rows`: of the embedding matrix; `offset`: of the tokenizer in the file. Appends what was guessed to `notes`.
 * Throws BAD_MODEL for ids that are outside the matrix or given twice, UNSUPPORTED for a tokenizer of another kind.
 */
GgufTokenizer make_gguf_tokenizer(const TokenizerData& data, const std::string& arch, int64_t rows, uint64_t offset,
                                  std::vector<std::string>& notes);

}  // namespace zse
