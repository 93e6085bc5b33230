// Owns the machine's own limits, which no engine can pass: multiplications of bytes a second by each instruction for them that the processor
// has, on one thread and on all, and the bytes a second that all threads read from memory. `limits THREADS` prints one object of JSON.
// bench/lib/limits.mjs compiles and runs it. Elsewhere than on x86-64 Linux it knows reading alone.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__) && defined(__linux__)
#define LIMITS_X86
#include <immintrin.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/** What work must not be optimised away for. */
volatile int kept;

/** What `threads` threads do in a second, together: the best of several rounds, each of which ends with the slowest of them. */
double best_rate(int threads, const std::function<double(int)>& work) {
  double best = 0;
  for (int round = 0; round < 15; round++) {
    std::vector<std::thread> all;
    std::vector<double> done(threads);
    const double begun = now();
    for (int t = 0; t < threads; t++) all.emplace_back([&, t] { done[t] = work(t); });
    for (std::thread& thread : all) thread.join();
    double sum = 0;
    for (double one : done) sum += one;
    best = std::max(best, sum / (now() - begun));
  }
  return best;
}

#ifdef LIMITS_X86

constexpr int kRounds = 10'000'000;
/** Sums that wait for no other: more than an instruction takes cycles, times the instructions that begin in one. */
constexpr int kSums = 12;

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) double dpbusd_zmm(int) {
  __m512i sums[kSums], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (int i = 0; i < kRounds; i++) {
#pragma GCC unroll 12
    for (int k = 0; k < kSums; k++) sums[k] = _mm512_dpbusd_epi32(sums[k], a, b);
  }
  for (int k = 1; k < kSums; k++) sums[0] = _mm512_add_epi32(sums[0], sums[k]);
  alignas(64) int sum[16];
  _mm512_store_si512(sum, sums[0]);
  kept = sum[0];
  return 64.0 * kSums * kRounds;
}

__attribute__((target("avx2,avxvnni"))) double dpbusd_ymm(int) {
  __m256i sums[kSums], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (int i = 0; i < kRounds; i++) {
#pragma GCC unroll 12
    for (int k = 0; k < kSums; k++) sums[k] = _mm256_dpbusd_avx_epi32(sums[k], a, b);
  }
  for (int k = 1; k < kSums; k++) sums[0] = _mm256_add_epi32(sums[0], sums[k]);
  kept = _mm_cvtsi128_si32(_mm256_castsi256_si128(sums[0]));
  return 32.0 * kSums * kRounds;
}

/** The product and the least that must be added after it: sums of sixteen bits, which a kernel has to widen now and then. */
__attribute__((target("avx2"))) double maddubs_ymm(int) {
  __m256i sums[kSums], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (int i = 0; i < kRounds; i++) {
#pragma GCC unroll 12
    for (int k = 0; k < kSums; k++) {
      // The compiler must not take the product, which is always the same, out of the loop.
      __asm__ volatile("" : "+x"(a));
      sums[k] = _mm256_add_epi16(sums[k], _mm256_maddubs_epi16(a, b));
    }
  }
  for (int k = 1; k < kSums; k++) sums[0] = _mm256_add_epi16(sums[0], sums[k]);
  kept = _mm_cvtsi128_si32(_mm256_castsi256_si128(sums[0]));
  return 32.0 * kSums * kRounds;
}

/** The product by itself, whose results are lost: no kernel can do with it alone. */
__attribute__((target("avx2"))) double maddubs_alone_ymm(int) {
  __m256i products[kSums], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
  for (int i = 0; i < kRounds; i++) {
#pragma GCC unroll 12
    for (int k = 0; k < kSums; k++) __asm__ volatile("vpmaddubsw %2, %1, %0" : "=x"(products[k]) : "x"(a), "x"(b));
  }
  kept = _mm_cvtsi128_si32(_mm256_castsi256_si128(products[0]));
  return 32.0 * kSums * kRounds;
}

/** Tiles of 16 rows of 64 bytes; Linux gives a process their registers when it asks (arch_prctl(2)). */
bool may_use_tiles() {
  constexpr int kRequest = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

__attribute__((target("amx-tile,amx-int8"))) double dpbusd_tiles(int) {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t columns[16] = {64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16};
  } shape;
  alignas(64) static const uint8_t bytes[1024] = {1, 2, 3};
  alignas(64) int sums[256];
  _tile_loadconfig(&shape);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, bytes, 64);
  _tile_loadd(5, bytes, 64);
  constexpr int rounds = kRounds / 20;
  for (int i = 0; i < rounds; i++) {
    _tile_dpbusd(0, 4, 5);
    _tile_dpbusd(1, 4, 5);
    _tile_dpbusd(2, 4, 5);
    _tile_dpbusd(3, 4, 5);
  }
  _tile_stored(0, sums, 64);
  _tile_release();
  kept = sums[0];
  return 16.0 * 16 * 64 * 4 * rounds;
}

#endif

struct Instruction {
  std::string name, level;
  std::function<double(int)> work;
};

/** Those that this processor has. The level is the lowest one of a prebuilt engine that has it; "amx", or "none" for what is no limit of any. */
std::vector<Instruction> instructions() {
  std::vector<Instruction> all;
#ifdef LIMITS_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) all.push_back({"vpmaddubsw + vpaddw ymm", "avx2", maddubs_ymm});
  if (__builtin_cpu_supports("avx2")) all.push_back({"vpmaddubsw ymm without sums", "none", maddubs_alone_ymm});
  if (__builtin_cpu_supports("avxvnni")) all.push_back({"vpdpbusd ymm", "avxvnni", dpbusd_ymm});
  if (__builtin_cpu_supports("avx512vnni")) all.push_back({"vpdpbusd zmm", "avx512", dpbusd_zmm});
  if (__builtin_cpu_supports("amx-int8") && may_use_tiles()) all.push_back({"tdpbusd tmm", "amx", dpbusd_tiles});
#endif
  return all;
}

/** Each thread reads memory of its own, which no cache holds. */
double read_rate(int threads) {
  constexpr size_t kBytes = size_t(1) << 30, kPage = size_t(2) << 20;
  const size_t part = kBytes / threads / kPage * kPage, words = part / sizeof(uint64_t);
  std::vector<uint64_t*> memory(threads);
  std::vector<std::thread> all;
  for (int t = 0; t < threads; t++) {
    memory[t] = static_cast<uint64_t*>(std::aligned_alloc(kPage, part));
    if (!memory[t]) std::abort();
#ifdef LIMITS_X86
    madvise(memory[t], part, MADV_HUGEPAGE);
#endif
    all.emplace_back([&, t] { std::fill(memory[t], memory[t] + words, 1); });
  }
  for (std::thread& thread : all) thread.join();
  const double rate = best_rate(threads, [&](int t) {
    constexpr size_t kAtOnce = 32;
    uint64_t sums[kAtOnce] = {};
    for (size_t i = 0; i + kAtOnce <= words; i += kAtOnce) {
      for (size_t k = 0; k < kAtOnce; k++) sums[k] += memory[t][i + k];
    }
    for (size_t k = 1; k < kAtOnce; k++) sums[0] += sums[k];
    kept = static_cast<int>(sums[0]);
    return 1.0 * part;
  });
  for (uint64_t* one : memory) std::free(one);
  return rate;
}

}  // namespace

int main(int count, char** args) {
  const int threads = count > 1 ? std::atoi(args[1]) : 0;
  if (threads < 1 || threads > 512) {
    std::fprintf(stderr, "usage: limits THREADS, from 1 to 512\n");
    return 2;
  }
  std::printf("{\"readBytes\":%.0f,\"multiplications\":[", read_rate(threads));
  const char* comma = "";
  for (const Instruction& one : instructions()) {
    std::printf("%s{\"instruction\":\"%s\",\"level\":\"%s\",\"oneThread\":%.0f,\"allThreads\":%.0f}", comma, one.name.c_str(),
                one.level.c_str(), best_rate(1, one.work), best_rate(threads, one.work));
    comma = ",";
  }
  std::printf("]}\n");
}
