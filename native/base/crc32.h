// Owns the checksum of generation 2's sections: CRC-32 as in zlib and PNG. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>

#include "bytes.h"

namespace zse {

inline uint32_t crc32(Bytes bytes) {
  // Eight bytes at a time, by a table for each of them: tokenizers have megabytes.
  static const auto tables = [] {
    std::array<std::array<uint32_t, 256>, 8> made{};
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
      made[0][i] = value;
    }
    for (size_t t = 1; t < 8; t++) {
      for (size_t i = 0; i < 256; i++) made[t][i] = made[t - 1][i] >> 8 ^ made[0][made[t - 1][i] & 0xFF];
    }
    return made;
  }();
  uint32_t crc = 0xFFFFFFFFu;
  const uint8_t* at = bytes.data;
  uint64_t left = bytes.size;
  for (; left >= 8; at += 8, left -= 8) {
    const uint32_t low = load<uint32_t>(at) ^ crc;
    const uint32_t high = load<uint32_t>(at + 4);
    crc = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF] ^ tables[4][low >> 24] ^
          tables[3][high & 0xFF] ^ tables[2][high >> 8 & 0xFF] ^ tables[1][high >> 16 & 0xFF] ^ tables[0][high >> 24];
  }
  for (; left > 0; at++, left--) crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xFF];
  return crc ^ 0xFFFFFFFFu;
}

}  // namespace zse
