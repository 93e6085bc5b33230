// Owns what kernels want to know of the processor beside its instructions. Any thread. Everything is static: each variant of the backend has its own.
#pragma once

#include <cstdint>
#include <cstdlib>

#ifdef __linux__
#include <unistd.h>
#endif

#if defined(__AVX2__) && defined(_MSC_VER)
#include <intrin.h>
#elif defined(__AVX2__)
#include <cpuid.h>
#endif

namespace zse::kernels {

/** Of the cache that a processor shares with none, the larger one, in bytes. */
static inline int64_t own_cache() {
  static const int64_t bytes = [] {
#ifdef _SC_LEVEL2_CACHE_SIZE
    if (const int64_t told = sysconf(_SC_LEVEL2_CACHE_SIZE); told > 0) return told;
#endif
    return int64_t{1} << 20;
  }();
  return bytes;
}

#ifdef __AVX2__

/**
 * Whether every instruction of 512 bits takes the place of a multiplication. Intel's processors have two places for all of them; AMD's shift, add and
 * exchange bits beside their multiplications (docs/lab/matrix-products.md).
 * With 256 bits the same makers are told apart. ZSE_PAIRED_SUMS says it for tests: 1 as on AMD's, 0 as on Intel's.
 */
static inline bool instructions_compete() {
  static const bool compete = [] {
    if (const char* paired = std::getenv("ZSE_PAIRED_SUMS")) return *paired == '0';
    constexpr unsigned kGenu = 0x756e6547;  // how "GenuineIntel" begins
#ifdef _MSC_VER
    int words[4];
    __cpuid(words, 0);
    return static_cast<unsigned>(words[1]) == kGenu;
#else
    unsigned a, b = 0, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) != 0 && b == kGenu;
#endif
  }();
  return compete;
}

#endif

}  // namespace zse::kernels
