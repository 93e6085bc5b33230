// Owns whether there are AMX's tiles, and their shapes while a kernel uses them. Any thread, each with tiles of its own. Everything is static: each variant
// of the backend has its own.
#pragma once

#include <cstdint>

#include "ggml-backend.h"

#ifdef __AMX_INT8__
#include <cpuid.h>
#include <immintrin.h>

ggml_backend_buffer_type_t ggml_backend_amx_buffer_type(void);  // ggml's amx.h
#endif

namespace zse::kernels {

/** Whether this processor has tiles and the system allows them. */
static inline bool has_tiles() {
#ifdef ZSE_SOFTWARE_TILES  // a test's (test/ggml/software_tiles.h)
  return true;
#elif defined(__AMX_INT8__)
  static const bool has = ggml_backend_amx_buffer_type() != nullptr;  // it asks both
  return has;
#else
  return false;
#endif
}

/** Whether tiles also multiply numbers of 16 bits (bfloat16). */
static inline bool has_float_tiles() {
#if defined(__AMX_INT8__) && defined(__AMX_BF16__) && !defined(ZSE_SOFTWARE_TILES)
  static const bool has = [] {
    unsigned a, b, c, d = 0;
    return has_tiles() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
  }();
  return has;
#else
  return false;
#endif
}

#ifdef __AMX_INT8__

// While this lives tiles 0 to 3 have sixteen rows of 64 bytes, for sums; 4 and 5 sixteen rows of so many `columns` of activations, and 6 and 7 as many of
// sixteen rows of weights, four by four. Tile 5 and its sums, 2 and 3, may have fewer rows, `second`. Then they have what the thread had before, since
// ggml's kernels configure a thread once.
class Tiles {
 public:
  explicit Tiles(int columns, int second = 16) {
    _tile_storeconfig(&before_);
    struct alignas(64) {
      uint8_t palette = 1, start = 0, reserved[14] = {};
      uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    config.bytes[4] = config.bytes[5] = static_cast<uint16_t>(columns);
    config.rows[2] = config.rows[3] = config.rows[5] = static_cast<uint8_t>(second);
    config.rows[6] = config.rows[7] = static_cast<uint8_t>(columns / 4);
    // GCC before 13 takes it that the first eight bytes alone are read.
    __asm__ __volatile__("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
  }
  ~Tiles() {
    if (before_[0] == 0)
      _tile_release();
    else
      _tile_loadconfig(&before_);
  }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 private:
  alignas(64) uint8_t before_[64] = {};
};

/** A product for nothing, of tiles 4 and 6: after a microsecond or two without any, tiles take twice as long for a while. */
static inline void keep_awake() { _tile_dpbssd(0, 4, 6); }

/** A thread's own working memory. Never inlined: in a library each use of it may be a call. */
template <class Memory>
#if defined(__GNUC__)
__attribute__((noinline))
#endif
static Memory& own() {
  static thread_local Memory memory;
  return memory;
}

#endif

}  // namespace zse::kernels
