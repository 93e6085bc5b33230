// Owns AMX's tiles in software, so that processors without them can test the kernels that use them (native/kernels/tiles.h; CMakeLists.txt
// includes this before any other header). The intrinsics' names are given to functions that do what Intel's Software Developer's Manual says of the instructions, of
// tiles' configuration and products of bytes. Each thread has tiles of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace zse::software_tiles {

struct Config {
  uint8_t palette, start, reserved[14];
  uint16_t bytes[16];  // of a row
  uint8_t rows[16];
};
static_assert(sizeof(Config) == 64);

inline thread_local Config config{};
inline thread_local uint8_t tiles[8][16][64];

inline void load_config(const void* from) { std::memcpy(&config, from, sizeof(config)); }
inline void store_config(void* to) { std::memcpy(to, &config, sizeof(config)); }
inline void release() { config = {}; }

inline void zero(int tile) { std::memset(tiles[tile], 0, sizeof(tiles[tile])); }

inline void load(int tile, const void* from, int64_t stride) {
  zero(tile);
  for (int row = 0; row < config.rows[tile]; row++)
    std::memcpy(tiles[tile][row], static_cast<const char*>(from) + row * stride, config.bytes[tile]);
}

inline void store(int tile, void* to, int64_t stride) {
  for (int row = 0; row < config.rows[tile]; row++)
    std::memcpy(static_cast<char*>(to) + row * stride, tiles[tile][row], config.bytes[tile]);
}

/** Adds the products of A's bytes in tile `a` and B's in tile `b` to the words of `sums`, four for each. */
template <class A, class B>
void multiply(int sums, int a, int b) {
  const int words = config.bytes[sums] / 4, fours = config.bytes[a] / 4;
  for (int row = 0; row < config.rows[sums]; row++) {
    for (int k = 0; k < fours; k++) {
      for (int word = 0; word < words; word++) {
        int32_t sum;
        std::memcpy(&sum, &tiles[sums][row][4 * word], sizeof(sum));
        for (int i = 4 * k; i < 4 * k + 4; i++)
          sum += static_cast<A>(tiles[a][row][i]) * static_cast<B>(tiles[b][k][4 * word + i - 4 * k]);
        std::memcpy(&tiles[sums][row][4 * word], &sum, sizeof(sum));
      }
    }
  }
}

}  // namespace zse::software_tiles

#undef _tile_loadconfig
#undef _tile_storeconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#undef _tile_dpbsud
#undef _tile_dpbusd
#undef _tile_dpbuud
#define _tile_loadconfig(from) zse::software_tiles::load_config(from)
#define _tile_storeconfig(to) zse::software_tiles::store_config(to)
#define _tile_release() zse::software_tiles::release()
#define _tile_zero(tile) zse::software_tiles::zero(tile)
#define _tile_loadd(tile, from, stride) zse::software_tiles::load(tile, from, stride)
#define _tile_stored(tile, to, stride) zse::software_tiles::store(tile, to, stride)
#define _tile_dpbssd(sums, a, b) zse::software_tiles::multiply<int8_t, int8_t>(sums, a, b)
#define _tile_dpbsud(sums, a, b) zse::software_tiles::multiply<int8_t, uint8_t>(sums, a, b)
#define _tile_dpbusd(sums, a, b) zse::software_tiles::multiply<uint8_t, int8_t>(sums, a, b)
#define _tile_dpbuud(sums, a, b) zse::software_tiles::multiply<uint8_t, uint8_t>(sums, a, b)
