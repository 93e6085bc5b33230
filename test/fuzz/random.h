// Owns the random choices of a fuzzer: a seeded generator whose whole course follows from the seed and the number of the case.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace fuzz {

class Random {
 public:
  Random(uint64_t seed, uint64_t number) : engine_(seed * 0x9E3779B97F4A7C15ull + number) {}

  /** 0 … limit - 1. */
  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : std::uniform_int_distribution<uint64_t>(0, limit - 1)(engine_); }
  bool one_in(uint64_t n) { return below(n) == 0; }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

  /** A number that is likely to be at the edge of something. */
  uint64_t edge() {
    static const std::vector<uint64_t> kEdges = {
        0,          1,          2,          3,          7,          31,         32,         33,
        63,         64,         127,        128,        255,        256,        257,        511,
        512,        513,        1023,       1536,       4096,       65535,      65536,      1u << 20,
        1u << 24,   0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1ull << 32, 1ull << 40, 1ull << 62, (1ull << 63) - 1,
        1ull << 63, ~0ull,      ~0ull - 31};
    return one_in(4) ? engine_() >> below(64) : pick(kEdges);
  }

  /** Flips bits, puts edges in, takes bytes out or doubles them. */
  void scramble(std::string& bytes, uint64_t from, uint64_t to) {
    if (from >= to) return;
    const uint64_t at = from + below(to - from);
    switch (below(6)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8))); break;
      case 1: bytes[at] = static_cast<char>(edge()); break;
      case 2: {
        const uint64_t value = edge();
        for (uint64_t i = 0; i < 8 && at + i < bytes.size(); i++) bytes[at + i] = static_cast<char>(value >> (8 * i));
        break;
      }
      case 3: {
        const auto value = static_cast<uint32_t>(edge());
        for (uint64_t i = 0; i < 4 && at + i < bytes.size(); i++) bytes[at + i] = static_cast<char>(value >> (8 * i));
        break;
      }
      case 4: bytes.erase(at, 1 + below(16)); break;
      case 5: bytes.insert(at, bytes.substr(from + below(to - from), 1 + below(16))); break;
    }
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace fuzz
