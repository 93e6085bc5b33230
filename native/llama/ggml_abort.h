// Owns what happens when ggml or llama.cpp give up (GGML_ASSERT, GGML_ABORT). While something guarded is done, that becomes an exception:
// BAD_MODEL where it is made of the file alone, ENGINE_FAILED elsewhere. At any other time it is a bug and ends the process, as
// ever. native/gguf refuses what is known to get there; this is the net below it, for the hundred architectures whose rules nobody has
// written down.
#pragma once

#include <string>

namespace zse {

/** Sets ggml's abort callback for the process; once. */
void install_abort_handler();

/** Whose fault it is when llama.cpp gives up, told by what the thread is doing. */
enum class AbortBlame {
  kFile,    // opening it, and the first graphs, which are built after its numbers: BAD_MODEL
  kEngine,  // ENGINE_FAILED
};

/** While it lives, GGML_ABORT on this thread throws an exception. What llama.cpp had under way is then lost to the process. */
class AbortGuard {
 public:
  explicit AbortGuard(AbortBlame blame);
  ~AbortGuard();
  AbortGuard(const AbortGuard&) = delete;
  AbortGuard& operator=(const AbortGuard&) = delete;

  /** What GGML_ABORT said, if it was called: llama.cpp catches exceptions itself in places. */
  const std::string& reason() const;

 private:
  const AbortBlame* before_;
  const AbortBlame blame_;
};

}  // namespace zse
