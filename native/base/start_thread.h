// Owns what is said where the system gives no thread: a limit of its own or of a container's, which a process meets through no fault of
// a file or a request. Any thread.
#pragma once

#include <functional>
#include <string>
#include <system_error>
#include <utility>

#include "error.h"
#include "thread.h"

namespace zse {

/** `wanting`: who wants them, "decoding with 4 threads". */
inline EngineError no_threads(const std::string& wanting) {
  return {"ENGINE_FAILED", "the system gives this process no more threads, which " + wanting +
                               " needs; raise its limit (ulimit -u, or that of the container), or let it do less at once"};
}

/** A thread, or EngineError ENGINE_FAILED. `stack` in bytes. */
inline Thread start_thread(const char* wanting, std::function<void()> work, size_t stack = Thread::kStack) {
  try {
    return Thread(std::move(work), stack);
  } catch (const std::system_error&) {
    throw no_threads(wanting);
  }
}

}  // namespace zse
