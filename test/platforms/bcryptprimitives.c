// Owns the one function of Windows's bcryptprimitives.dll that programs in Rust ask for, vitest's parts among them: wine has that library from
// version 9 on. For tests alone (wine-addon-suite.mjs).
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(void* bytes, ULONG size);  // advapi32's RtlGenRandom

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE* bytes, SIZE_T size) {
  for (SIZE_T done = 0; done < size;) {
    const ULONG piece = size - done < 65536 ? (ULONG)(size - done) : 65536;
    if (!SystemFunction036(bytes + done, piece)) return FALSE;
    done += piece;
  }
  return TRUE;
}
