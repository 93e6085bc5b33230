// Owns which of the CPU backends in a portable build serves this processor. A build of -march=native has one, and ggml registers it itself.
#pragma once

#include <string>

namespace zse {

/**
 * Registers the highest level that the processor and the system carry, or the one that ZSE_CPU in the environment names. Once for a
 * process, before llama.cpp is initialised. Throws EngineError UNSUPPORTED where the processor has none of the levels, BAD_OPTION for a
 * ZSE_CPU that is no level or that the processor has not.
 */
void register_cpu_level();

/** "avx2", …; "native" in a build for one processor. Valid after register_cpu_level. */
const std::string& cpu_level();

}  // namespace zse
