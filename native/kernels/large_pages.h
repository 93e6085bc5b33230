// Owns asking the system for large pages of memory. Any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace zse::kernels {

/**
 * Asks for pages of 2 MB for memory that nothing is in yet: weights are read from the first byte to the last for each token, and with pages of 4 KB a
 * processor looks up for each of these where it lies (docs/lab/large-pages.md). A system that does not allow it gives what it always gives; others than
 * Linux have such pages for the privileged alone.
 *
 * A virtual machine whose host takes back what is free is slow to give them, so that a model would open in twice the time. The first ones tell: where they
 * are slow, the rest is left as it is.
 */
inline void want_large_pages(void* from, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = 2 << 20;
  constexpr uintptr_t kTried = 4;
  constexpr auto kQuick = std::chrono::milliseconds(1);  // for one; without a host it is a fourth of that
  const auto address = reinterpret_cast<uintptr_t>(from);
  const uintptr_t first = (address + kPage - 1) / kPage * kPage, end = (address + bytes) / kPage * kPage;
  const auto ask = [](uintptr_t begin, uintptr_t until) {
    madvise(reinterpret_cast<void*>(begin), until - begin, MADV_HUGEPAGE);
  };
  if (first + kTried * kPage > end) return;
  const uintptr_t rest = first + kTried * kPage;
  ask(first, rest);
  const auto started = std::chrono::steady_clock::now();
  for (uintptr_t page = first; page < rest; page += kPage) *reinterpret_cast<volatile char*>(page) = 0;
  if (std::chrono::steady_clock::now() - started < kTried * kQuick) ask(rest, end);
#else
  (void)from;
  (void)bytes;
#endif
}

}  // namespace zse::kernels
