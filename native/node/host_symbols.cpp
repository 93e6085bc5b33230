// Owns finding Node-API's functions on Windows in an addon that MinGW's tools link: they are asked of the program that loads us, whatever it is
// called (node.exe, electron.exe, bun.exe). A Microsoft linker does the same by delay-loading and cmake-js's hook. The system's loader runs
// it, once, before anything else of the addon.
#ifdef __MINGW32__

#include <windows.h>

#include <initializer_list>

// What the headers declare with dllimport is called through these.
extern "C" {
#define ZSE_HOST_SYMBOL(name) void* __imp_##name = nullptr;
#include <zse_host_symbols.inc>
#undef ZSE_HOST_SYMBOL
}

namespace {

struct Symbol {
  const char* name;
  void** place;
};

const Symbol kSymbols[] = {
#define ZSE_HOST_SYMBOL(name) {#name, &__imp_##name},
#include <zse_host_symbols.inc>
#undef ZSE_HOST_SYMBOL
};

/** False where the program lacks one: then it is older than the Node-API that the addon needs. */
bool find_host_symbols() {
  // Where Node is a library of the program's, its symbols are there.
  for (HMODULE host : {GetModuleHandleW(nullptr), GetModuleHandleW(L"libnode.dll"), GetModuleHandleW(L"node.dll")}) {
    if (!host || !GetProcAddress(host, kSymbols[0].name)) continue;
    for (const auto& [name, place] : kSymbols) {
      *place = reinterpret_cast<void*>(GetProcAddress(host, name));
      if (!*place) return false;
    }
    return true;
  }
  return false;
}

}  // namespace

extern "C" BOOL WINAPI DllMain(HINSTANCE, DWORD reason, void*) {
  return reason != DLL_PROCESS_ATTACH || find_host_symbols() ? TRUE : FALSE;
}

#endif
