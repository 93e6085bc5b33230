#include "ggml_abort.h"

#include <cstdio>
#include <filesystem>

#include "ggml.h"
#include "types.h"

namespace zse {

namespace {

thread_local bool opening = false;
thread_local std::string aborted_with;

/** "/a/b/llama-model.cpp:1260: GGML_ASSERT(x) failed" → "GGML_ASSERT(x) failed (llama-model.cpp:1260)". */
std::string without_folders(const std::string& message) {
  const size_t end = message.find(": ");
  if (end == std::string::npos) return message;
  return message.substr(end + 2) + " (" + std::filesystem::u8path(message.substr(0, end)).filename().u8string() + ")";
}

void on_abort(const char* message) {
  if (opening) {
    aborted_with = "the model file contradicts itself: llama.cpp gave up with " + without_folders(message);
    throw EngineError("BAD_MODEL", aborted_with);
  }
  std::fprintf(stderr, "%s\n", message);
}

}  // namespace

void install_abort_handler() { ggml_set_abort_callback(on_abort); }

AbortGuard::AbortGuard() : before_(opening) {
  opening = true;
  aborted_with.clear();
}
AbortGuard::~AbortGuard() { opening = before_; }
const std::string& AbortGuard::reason() const { return aborted_with; }

}  // namespace zse
