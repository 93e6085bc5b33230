#include "gpu_libraries.h"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "devices.h"
#include "ggml-backend.h"
#include "gpu/gpu_library.h"
#include "llama_log.h"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace zse {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_library(const std::string& path, const std::string& reason) {
  throw EngineError("UNSUPPORTED", "the GPU library \"" + path + "\" cannot be used: " + reason);
}

/** Its entry; the library is never closed, since its threads and the driver's may outlive every model. */
ZseGpuLibraryFunction open_library(const std::string& path) {
#ifdef _WIN32
  // What it needs itself is looked for beside it and in the system's folders, not in the working directory.
  const DWORD where = LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS;
  const HMODULE library = LoadLibraryExW(fs::u8path(path).c_str(), nullptr, where);
  if (!library) refuse_library(path, "Windows error " + std::to_string(GetLastError()));
  return reinterpret_cast<ZseGpuLibraryFunction>(reinterpret_cast<void*>(GetProcAddress(library, kZseGpuLibrary)));
#else
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* reason = dlerror();
    refuse_library(path, reason ? reason : "the system does not say why");
  }
  return reinterpret_cast<ZseGpuLibraryFunction>(dlsym(library, kZseGpuLibrary));
#endif
}

}  // namespace

size_t use_gpu_library(const std::string& path) {
  if (!fs::u8path(path).is_absolute()) {
    throw EngineError("BAD_OPTION", "\"" + path + "\" is no absolute path; give that of a GPU library");
  }
  init_backends();
  static std::mutex one_at_a_time;  // workers load the addon too, and ggml's list has no lock of its own
  static std::vector<void*> added;
  std::lock_guard<std::mutex> lock(one_at_a_time);
  const ZseGpuLibraryFunction entry = open_library(path);
  if (!entry) refuse_library(path, "it is no GPU library of zStream's");
  const ZseGpuLibrary& library = *entry();
  if (std::string(library.contract) != ZSE_GPU_CONTRACT) {
    refuse_library(path, "it was made for zStream " + std::string(library.contract) + ", and this is " + ZSE_GPU_CONTRACT +
                             "; install the same version of both packages");
  }
  library.set_log([](int level, const char* text, void*) { log_line(level, text); }, nullptr);
  void* registration = library.registration();
  if (!registration) return 0;
  const auto backend = static_cast<ggml_backend_reg_t>(registration);
  const size_t devices = ggml_backend_reg_dev_count(backend);
  if (devices > 0 && std::find(added.begin(), added.end(), registration) == added.end()) {
    ggml_backend_register(backend);
    added.push_back(registration);
  }
  return devices;
}

}  // namespace zse
