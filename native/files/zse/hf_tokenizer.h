// Owns reading a Hugging Face tokenizer out of its own files (tokenizer.json, tokenizer_config.json, chat_template.jinja), which
// generation 1 keeps inside the .zse. Pure; any thread.
#pragma once

#include "base/json.h"
#include "tokenizer.h"

namespace zse {

/**
 * `files`: file name to base64 of its bytes. `offset` is of that table in the .zse. Throws BAD_MODEL, or UNSUPPORTED for another kind of
 * tokenizer than BPE.
 */
TokenizerData read_hf_tokenizer(const Json& files, uint64_t offset);

}  // namespace zse
