// Owns reading a generation 1 .zse file ("ZSE" 00): JSON header, tensor entries with their scales, and the Hugging Face tokenizer files
// inside. Pure; any thread.
#pragma once

#include "base/bytes.h"
#include "contents.h"

namespace zse {

/** Throws EngineError BAD_MODEL or UNSUPPORTED. */
ZseContents parse_generation1(Bytes file);

}  // namespace zse
