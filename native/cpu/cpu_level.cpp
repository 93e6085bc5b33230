#include "cpu_level.h"

#ifdef ZSE_PORTABLE

#include <cstdlib>
#include <functional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ggml-backend.h"

#if defined(__x86_64__) || defined(_M_X64)
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#elif defined(__aarch64__) || defined(_M_ARM64)
#include "ggml-feats.h"
#endif

// Each level's own registration, under the name that native/cpu/rename_symbols.cmake gave it.
#define ZSE_CPU_LEVEL(name) extern "C" ggml_backend_reg_t zse_##name##_ggml_backend_cpu_reg(void);
#include <zse_cpu_levels.inc>
#undef ZSE_CPU_LEVEL

namespace zse {

namespace {

#if defined(__x86_64__) || defined(_M_X64)

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned part = 0) {
  Registers r;
#ifdef _MSC_VER
  int words[4];
  __cpuidex(words, static_cast<int>(leaf), static_cast<int>(part));
  r = {static_cast<unsigned>(words[0]), static_cast<unsigned>(words[1]), static_cast<unsigned>(words[2]),
       static_cast<unsigned>(words[3])};
#else
  __get_cpuid_count(leaf, part, &r.a, &r.b, &r.c, &r.d);
#endif
  return r;
}

bool has(unsigned word, int bit) { return ((word >> bit) & 1) != 0; }

/**
 * Which registers the system saves at a switch of threads: wide ones are of no use where it does not. To ask is no instruction of a processor that is
 * older than XSAVE, or whose system does not use it.
 */
unsigned long long saved_registers() {
  if (!has(cpuid(1).c, 27)) return 0;
#ifdef _MSC_VER
  return _xgetbv(0);
#else
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<unsigned long long>(high) << 32) | low;
#endif
}

// Intel's Software Developer's Manual, volume 2A, CPUID.
bool has_sse42() {
  return has(cpuid(1).c, 20) && has(cpuid(1).c, 9) && has(cpuid(1).c, 23);
}  // compilers take POPCNT with it

bool has_avx2() {
  const Registers one = cpuid(1), seven = cpuid(7);
  const bool system_saves = (saved_registers() & 6) == 6;
  return has_sse42() && system_saves && has(one.c, 28) && has(one.c, 12) && has(one.c, 29) && has(seven.b, 5) &&
         has(seven.b, 8);
}

// AVX-VNNI: Alder Lake and later client processors, and Zen 5. Leaf 7 says itself how many parts it has.
bool has_avxvnni() { return has_avx2() && cpuid(7).a >= 1 && has(cpuid(7, 1).a, 4); }

// AVX-512 F, DQ, CD, BW and VL, and VNNI: Ice Lake and Zen 4 onwards.
bool has_avx512() {
  const Registers seven = cpuid(7);
  const bool system_saves = (saved_registers() & 0xe6) == 0xe6;
  return has_avx2() && system_saves && has(seven.b, 16) && has(seven.b, 17) && has(seven.b, 28) && has(seven.b, 30) &&
         has(seven.b, 31) && has(seven.c, 11);
}

const std::vector<std::pair<std::string, std::function<bool()>>> kKnown = {
    {"sse42", has_sse42}, {"avx2", has_avx2}, {"avxvnni", has_avxvnni}, {"avx512", has_avx512}};

#elif defined(__APPLE__)

const std::vector<std::pair<std::string, std::function<bool()>>> kKnown = {{"apple", [] { return true; }}};

#elif defined(__aarch64__) || defined(_M_ARM64)

bool has_dotprod() {
  const ggml_feats_arch64_runtime_t features = ggml_feats_get_arch64_runtime();
  return features.has_dotprod && features.has_fp16;
}

bool has_i8mm() { return has_dotprod() && ggml_feats_get_arch64_runtime().has_i8mm; }

const std::vector<std::pair<std::string, std::function<bool()>>> kKnown = {
    {"neon", [] { return true; }}, {"dotprod", has_dotprod}, {"i8mm", has_i8mm}};

#endif

struct Level {
  std::string name;
  std::function<ggml_backend_reg_t()> registration;
  bool fits;
};

/** Lowest first. */
std::vector<Level> levels() {
  std::vector<Level> all;
  const auto add = [&](const char* name, ggml_backend_reg_t (*registration)(void)) {
    for (const auto& [known, fits] : kKnown) {
      if (known == name) all.push_back({known, registration, fits()});
    }
  };
#define ZSE_CPU_LEVEL(name) add(#name, zse_##name##_ggml_backend_cpu_reg);
#include <zse_cpu_levels.inc>
#undef ZSE_CPU_LEVEL
  return all;
}

std::string chosen;

/** Of the environment, so that a terminal shows it: its beginning, without what is no letter. */
std::string shown(const std::string& text) {
  constexpr size_t kMost = 40;
  std::string shown = text.substr(0, kMost);
  for (char& one : shown)
    if (one < ' ' || one > '~') one = '?';
  return text.size() > kMost ? shown + "…" : shown;
}

}  // namespace

void register_cpu_level() {
  const std::vector<Level> all = levels();
  std::string names, fitting;
  const Level* best = nullptr;
  const char* asked = std::getenv("ZSE_CPU");
  const bool any = !asked || *asked == '\0';
  for (const Level& level : all) {
    names += (names.empty() ? "" : ", ") + level.name;
    if (!level.fits) continue;
    fitting += (fitting.empty() ? "" : ", ") + level.name;
    if (any || level.name == asked) best = &level;
  }
  if (!best && !any) {
    throw EngineError("BAD_OPTION", "ZSE_CPU is \"" + shown(asked) + "\": this processor has " +
                                        (fitting.empty() ? "none" : fitting) + " of this addon's levels (" + names +
                                        "); use one of them, or leave ZSE_CPU out");
  }
  if (!best) {
    throw EngineError("UNSUPPORTED",
                      "this processor has none of the instructions that the prebuilt engine needs (one of " + names + ")");
  }
  ggml_backend_register(best->registration());
  chosen = best->name;
}

const std::string& cpu_level() { return chosen; }

}  // namespace zse

#else

namespace zse {

void register_cpu_level() {}

const std::string& cpu_level() {
  static const std::string name = "native";
  return name;
}

}  // namespace zse

#endif
