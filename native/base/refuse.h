// Owns how the readers of this folder say that a file is bad: always EngineError BAD_MODEL or UNSUPPORTED, with the place in
// the file and what is wrong there. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "error.h"

namespace zse {

/** Throws BAD_MODEL "at byte <offset>: <what>". */
[[noreturn]] inline void refuse(uint64_t offset, const std::string& what) {
  throw EngineError("BAD_MODEL", "at byte " + std::to_string(offset) + ": " + what);
}

/** Throws UNSUPPORTED: a sound file that zStream cannot run, and what gave it away. */
[[noreturn]] inline void unsupported(const std::string& what) { throw EngineError("UNSUPPORTED", what); }

}  // namespace zse
