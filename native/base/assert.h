// Owns how native code says what must be true of itself. Checked in the tests' builds and under sanitizers; nothing is computed for it in a
// release. A file or a request can never be the reason: those are errors, not asserts. Any thread.
#pragma once

#include <cstdio>
#include <cstdlib>

#ifdef ZSE_ASSERTS
/** Prints the file, the line, the condition and the words, and aborts, unless the condition holds. */
#define ZSE_ASSERT(condition, words)                                                            \
  do {                                                                                          \
    if (!(condition)) {                                                                         \
      std::fprintf(stderr, "%s:%d: %s (%s is false)\n", __FILE__, __LINE__, words, #condition); \
      std::abort();                                                                             \
    }                                                                                           \
  } while (false)
#else
#define ZSE_ASSERT(condition, words) static_cast<void>(sizeof(!(condition)))
#endif
