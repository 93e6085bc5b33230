// Owns what the addon and a GPU's library, which is a package of its own, say to each other. Plain C: each has a C++ runtime and a ggml of its
// own inside. llama/gpu_libraries.cpp loads such a library, library.cpp is compiled into one.
#pragma once

extern "C" {

struct ZseGpuLibrary {
  /** ZSE_GPU_CONTRACT of its build: ggml's structures cross the border, so it must be the addon's own. */
  const char* contract;
  /** Sends what its ggml logs (ggml_log_level, text, `user_data`) to `log`. */
  void (*set_log)(void (*log)(int level, const char* text, void* user_data), void* user_data);
  /** The backend as a ggml_backend_reg_t; null where the driver is missing. Called once at least. */
  void* (*registration)(void);
};

/** The one name that such a library shows. */
using ZseGpuLibraryFunction = const ZseGpuLibrary* (*)();
inline constexpr char kZseGpuLibrary[] = "zse_gpu_library";

}  // extern "C"
