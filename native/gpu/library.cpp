// Owns the entry of a GPU's library: ggml's backend for CUDA or Vulkan, with as much of ggml as it needs inside. CMakeLists.txt says which
// (ZSE_GPU_LIBRARY). Any thread, one at a time.
#include "gpu_library.h"

#include <ggml-backend.h>
#include <ggml.h>

extern "C" ggml_backend_reg_t ZSE_GPU_REGISTRATION(void);

namespace {

void (*host_log)(int, const char*, void*) = nullptr;

void log(ggml_log_level level, const char* text, void* user_data) { host_log(static_cast<int>(level), text, user_data); }

void set_log(void (*to)(int, const char*, void*), void* user_data) {
  host_log = to;
  ggml_log_set(log, user_data);
}

void* registration() {
  ggml_time_init();  // the addon did so for its own ggml
  return ZSE_GPU_REGISTRATION();
}

const ZseGpuLibrary library = {ZSE_GPU_CONTRACT, set_log, registration};

}  // namespace

#ifdef _WIN32
#define ZSE_SHOWN __declspec(dllexport)
#else
#define ZSE_SHOWN __attribute__((visibility("default")))
#endif

extern "C" ZSE_SHOWN const ZseGpuLibrary* zse_gpu_library() { return &library; }
