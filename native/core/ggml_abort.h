// Owns what happens when ggml or llama.cpp give up (GGML_ASSERT, GGML_ABORT). While a model is being opened, that is an error of the
// file's and becomes an exception; at any other time it is a bug and ends the process, as ever. native/gguf refuses what is known
// to get there; this is the net below it, for the hundred architectures whose rules nobody has written down.
#pragma once

#include <string>

namespace zse {

/** Sets ggml's abort callback for the process; once. */
void install_abort_handler();

/** While it lives, GGML_ABORT on this thread throws an exception. What llama.cpp had under way is then lost to the process. */
class AbortGuard {
 public:
  AbortGuard();
  ~AbortGuard();
  AbortGuard(const AbortGuard&) = delete;
  AbortGuard& operator=(const AbortGuard&) = delete;

  /** What GGML_ABORT said, if it was called: llama.cpp catches exceptions itself in places. */
  const std::string& reason() const;

 private:
  bool before_;
};

}  // namespace zse
