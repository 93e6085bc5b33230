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
 * A virtual machine whose host takes back what is free may be slow to give them, so that a model would open in twice the time. The first ones tell: where
 * they are slow, and as much memory in small pages comes in less than half of the time, the rest is left as it is.
 */
inline void want_large_pages(void* from, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = 2 << 20, kSmallPage = 4 << 10;
  constexpr uintptr_t kTried = 4;
  constexpr auto kQuick = std::chrono::milliseconds(1);  // for one; without a host it is a fourth of that
  const auto address = reinterpret_cast<uintptr_t>(from);
  const uintptr_t first = (address + kPage - 1) / kPage * kPage, end = (address + bytes) / kPage * kPage;
  const auto ask = [](uintptr_t begin, uintptr_t until) {
    madvise(reinterpret_cast<void*>(begin), until - begin, MADV_HUGEPAGE);
  };
  const auto touch = [](uintptr_t begin, uintptr_t until, uintptr_t step) {
    const auto started = std::chrono::steady_clock::now();
    for (uintptr_t page = begin; page < until; page += step) *reinterpret_cast<volatile char*>(page) = 0;
    return std::chrono::steady_clock::now() - started;
  };
  const uintptr_t small = first + kTried * kPage, rest = small + kTried * kPage;
  if (small > end) return;
  ask(first, small);
  const auto large_took = touch(first, small, kPage);
  if (large_took < kTried * kQuick) return ask(small, end);
  if (rest <= end && large_took < 2 * touch(small, rest, kSmallPage)) ask(rest, end);
#else
  (void)from;
  (void)bytes;
#endif
}

}  // namespace zse::kernels
