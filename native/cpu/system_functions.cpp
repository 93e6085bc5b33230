// Owns that an addon which Zig's compiler links calls the system's C library for memory and for mathematics that count: any thread. Zig has its own of
// these, which it links in before the system's are looked for. They are written for size: its memset stores byte by byte, which took a seventh of
// a prompt's time (docs/lab/prebuilt.md).
//
// Linked by name these would find Zig's again, or themselves. So the system's are asked for at the first call. It has them: the addon is linked to that library.
#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>

#include <cstddef>
#endif

namespace {

template <class Function>
Function* find(const char* name) {
#ifdef _WIN32
  return reinterpret_cast<Function*>(reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ucrtbase.dll"), name)));
#else
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
#endif
}

}  // namespace

// Any thread that comes first finds the same.
#define ZSE_SYSTEM_FUNCTION(result, name, parameters, arguments) \
  static result first_##name parameters;                         \
  static result(*system_##name) parameters = first_##name;       \
  static result first_##name parameters {                        \
    auto* found = find<result parameters>(#name);                \
    __atomic_store_n(&system_##name, found, __ATOMIC_RELAXED);   \
    return found arguments;                                      \
  }                                                              \
  extern "C" result name parameters { return __atomic_load_n(&system_##name, __ATOMIC_RELAXED) arguments; }

ZSE_SYSTEM_FUNCTION(void*, memset, (void* to, int byte, size_t bytes), (to, byte, bytes))
ZSE_SYSTEM_FUNCTION(void*, memcpy, (void* to, const void* from, size_t bytes), (to, from, bytes))
ZSE_SYSTEM_FUNCTION(void*, memmove, (void* to, const void* from, size_t bytes), (to, from, bytes))
ZSE_SYSTEM_FUNCTION(int, memcmp, (const void* a, const void* b, size_t bytes), (a, b, bytes))
ZSE_SYSTEM_FUNCTION(size_t, strlen, (const char* text), (text))
#ifndef _WIN32
ZSE_SYSTEM_FUNCTION(int, bcmp, (const void* a, const void* b, size_t bytes), (a, b, bytes))
#endif
#ifdef __GLIBC__
ZSE_SYSTEM_FUNCTION(float, sinf, (float x), (x))
ZSE_SYSTEM_FUNCTION(float, cosf, (float x), (x))
ZSE_SYSTEM_FUNCTION(float, expf, (float x), (x))
ZSE_SYSTEM_FUNCTION(float, logf, (float x), (x))
#endif
