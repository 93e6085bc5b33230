// Owns the decision whether a LoRA adapter's file may be given to llama.cpp, as check does for models: what it asserts or trusts is looked at here.
// Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace zse::gguf {

/**
 * Refuses what is no GGUF file of a LoRA adapter, or one that llama.cpp could not load without harm. Returns a hash of its content, which names it in
 * caches.
 * @throws EngineError MODEL_NOT_FOUND; BAD_MODEL, with the byte in the file and what is wrong there; UNSUPPORTED where only an invocation turns it on
 */
uint64_t check_adapter(const std::string& path);

}  // namespace zse::gguf
