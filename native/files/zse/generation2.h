// Owns reading a generation 2 .zse file ("ZSE" 01): header, section table, checksums, CONFIG, WEIGHT_INDEX, TOKENIZER. Pure; any thread.
#pragma once

#include "base/bytes.h"
#include "contents.h"

namespace zse {

/** All but the layout of INT4 tensors (layout.h). Throws EngineError BAD_MODEL or UNSUPPORTED. Views point into `file`. */
ZseContents parse_generation2(Bytes file);

}  // namespace zse
