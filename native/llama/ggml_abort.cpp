#include "ggml_abort.h"

#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "ggml.h"

namespace zse {

namespace {

thread_local const AbortBlame* guarded = nullptr;
thread_local std::string aborted_with;

/** "/a/b/llama-model.cpp:1260: GGML_ASSERT(x) failed" → "GGML_ASSERT(x) failed (llama-model.cpp:1260)". */
std::string without_folders(const std::string& message) {
  const size_t end = message.find(": ");
  if (end == std::string::npos) return message;
  return message.substr(end + 2) + " (" + std::filesystem::u8path(message.substr(0, end)).filename().u8string() + ")";
}

void on_abort(const char* message) {
  if (guarded) {
    const bool by_file = *guarded == AbortBlame::kFile;
    aborted_with =
        (by_file ? "the model file contradicts itself: " : "") + ("llama.cpp gave up with " + without_folders(message));
    throw EngineError(by_file ? "BAD_MODEL" : "ENGINE_FAILED", aborted_with);
  }
  std::fprintf(stderr, "%s\n", message);
}

}  // namespace

void install_abort_handler() { ggml_set_abort_callback(on_abort); }

AbortGuard::AbortGuard(AbortBlame blame) : before_(guarded), blame_(blame) {
  guarded = &blame_;
  aborted_with.clear();
}
AbortGuard::~AbortGuard() { guarded = before_; }
const std::string& AbortGuard::reason() const { return aborted_with; }

}  // namespace zse
