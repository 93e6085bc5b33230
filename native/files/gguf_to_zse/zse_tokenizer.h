// Owns turning a GGUF file's tokenizer into generation 2's TOKENIZER section. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "files/gguf/header.h"

namespace zse {

/** The section's bytes. Throws EngineError UNSUPPORTED for a tokenizer that is neither byte-level BPE nor SentencePiece's. */
std::string write_tokenizer(const gguf::Header& source, std::vector<std::string>& notes);

}  // namespace zse
