#include "devices.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iterator>
#include <mutex>

#ifdef _WIN32
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "base/error.h"
#include "fit.h"
#include "ggml_abort.h"
#include "llama_log.h"

namespace zse {

namespace {

// Tokens in one llama_decode. As large as the micro-batch, so that a decode is one graph: an aborted one has done nothing.
constexpr int kBatchTokens = 512;

bool is_gpu(ggml_backend_dev_t device) {
  const auto type = ggml_backend_dev_type(device);
  return type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string backend_name(ggml_backend_dev_t device) {
  const std::string name = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
  return name == "MTL" ? "Metal" : name;
}

}  // namespace

#ifdef ZSE_PORTABLE
namespace {

/** The folder that the addon's own file lies in. */
std::filesystem::path own_folder() {
#ifdef _WIN32
  HMODULE module = nullptr;
  const DWORD flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  wchar_t file[32768];
  const bool found = GetModuleHandleExW(flags, reinterpret_cast<LPCWSTR>(&own_folder), &module) != 0 &&
                     GetModuleFileNameW(module, file, static_cast<DWORD>(std::size(file))) != 0;
  return found ? std::filesystem::path(file).parent_path() : std::filesystem::path();
#else
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || !info.dli_fname) return {};
  std::error_code error;  // the name is what the addon was loaded by, a moment ago
  return std::filesystem::absolute(info.dli_fname, error).parent_path();
#endif
}

/**
 * ggml's backends are libraries beside the addon. Left alone, llama.cpp takes them from the folder of the executable and from the
 * working directory, and whoever can put a file there runs code in this process.
 */
void load_backends() {
  const std::filesystem::path folder = own_folder();
  if (folder.is_absolute()) ggml_backend_load_all_from_path(folder.u8string().c_str());
  if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)) return;
  throw EngineError("ENGINE_FAILED", "the libraries that compute are not where they should be, beside the addon in \"" +
                                         folder.u8string() + "\": install the package again, or copy the whole folder");
}

}  // namespace
#else
static void load_backends() {}  // they are in the addon
#endif

void init_backends() {
  static std::once_flag once;
  std::call_once(once, [] {
    install_log();
    install_abort_handler();
    load_backends();  // before llama.cpp does where it finds none
    llama_backend_init();
  });
}

DeviceChoice choose_devices(const EngineOptions& options) {
  std::vector<ggml_backend_dev_t> gpus;
  std::string present;
  for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    const std::string backend = lower(backend_name(device));
    if (present.find(backend) == std::string::npos) present += (present.empty() ? "" : ", ") + backend;
    if (is_gpu(device) && (options.device == "auto" || backend == options.device)) gpus.push_back(device);
  }
  if (options.device == "cpu") return {{nullptr}, 0, "CPU"};
  if (gpus.empty()) {
    if (options.device != "auto") {
      throw EngineError("UNSUPPORTED", "device \"" + options.device + "\" is not available; this build and machine have: " +
                                           present + "; use device \"auto\" or rebuild with that backend");
    }
    return {{nullptr}, 0, "CPU"};
  }
  if (options.gpu_layers == 0) return {{nullptr}, 0, "CPU"};
  DeviceChoice choice{gpus, options.gpu_layers, ggml_backend_dev_name(gpus[0])};
  choice.devices.push_back(nullptr);
  return choice;
}

llama_context_params context_params(int context_size, int max_streams) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(context_size) * static_cast<uint32_t>(max_streams);
  params.n_seq_max = max_streams;
  params.n_batch = std::max(kBatchTokens, max_streams);
  params.n_ubatch = params.n_batch;
  params.n_outputs_max = max_streams;
  params.no_perf = true;
  // A KV buffer for each sequence, unless the decoder finds that one for all is faster (llama_decoder.cpp).
  params.kv_unified = false;
  return params;
}

GpuFit::GpuFit() : tensor_split_(llama_max_devices()), overrides_(llama_max_tensor_buft_overrides()) {}

void GpuFit::apply(const std::string& path, const EngineOptions& options, llama_model_params& params) {
  static std::mutex one_at_a_time;  // llama.cpp's fitting swaps the process-wide logger while it works
  std::lock_guard<std::mutex> lock(one_at_a_time);
  const int context_size = options.context_size > 0 ? options.context_size : kDefaultContextSize;
  llama_context_params context = context_params(context_size, options.max_streams);
  std::vector<size_t> margins(llama_max_devices(), size_t{1} << 30);
  params.n_gpu_layers = llama_model_default_params().n_gpu_layers;  // the value that fitting may change
  common_fit_params(path.c_str(), &params, &context, tensor_split_.data(), overrides_.data(), margins.data(), context.n_ctx,
                    nullptr, GGML_LOG_LEVEL_ERROR);
}

std::vector<DeviceInfo> list_devices() {
  init_backends();
  std::vector<DeviceInfo> devices;
  for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    DeviceInfo info;
    info.name = ggml_backend_dev_name(device);
    info.description = ggml_backend_dev_description(device);
    info.backend = backend_name(device);
    switch (ggml_backend_dev_type(device)) {
      case GGML_BACKEND_DEVICE_TYPE_CPU: info.kind = "cpu"; break;
      case GGML_BACKEND_DEVICE_TYPE_GPU: info.kind = "gpu"; break;
      case GGML_BACKEND_DEVICE_TYPE_IGPU: info.kind = "igpu"; break;
      default: info.kind = "accel"; break;
    }
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    info.memory_free = static_cast<double>(free);
    info.memory_total = static_cast<double>(total);
    devices.push_back(std::move(info));
  }
  return devices;
}

size_t machine_memory() {
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  size_t free = 0, total = 0;
  if (cpu) ggml_backend_dev_memory(cpu, &free, &total);
  return total;
}

std::string system_info() {
  init_backends();
  return llama_print_system_info();
}

}  // namespace zse
