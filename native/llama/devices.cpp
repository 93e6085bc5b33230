#include "devices.h"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <type_traits>

#include "base/error.h"
#include "cpu/cpu_level.h"
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

size_t memory_of(ggml_backend_dev_t device) {
  size_t free = 0, total = 0;
  ggml_backend_dev_memory(device, &free, &total);
  return total;
}

}  // namespace

void init_backends() {
  // Not std::call_once: it goes through the system's pthread_once, and an exception of a prebuilt addon, which brings its own unwinder,
  // cannot pass the frames of another.
  static const bool done = [] {
    install_log();
    install_abort_handler();
    // Before llama.cpp looks: where it finds no backend it takes libraries from the folder of the executable and from the working directory,
    // and whoever can put a file there runs code in this process.
    register_cpu_level();
    llama_backend_init();
    return true;
  }();
  (void)done;
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

bool computes_on_cpu(const ModelInfo& info) { return info.gpu_layers == 0 || info.device == "CPU"; }

ggml_type kv_type_of(const std::string& kv_type) {
  if (kv_type == "q8_0") return GGML_TYPE_Q8_0;
  if (kv_type == "q4_0") return GGML_TYPE_Q4_0;
  return GGML_TYPE_F16;
}

llama_context_params context_params(int context_size, int max_streams, int more_rows, const std::string& kv_type) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(context_size) * static_cast<uint32_t>(max_streams);
  params.n_seq_max = max_streams;
  params.n_batch = std::max(kBatchTokens, max_streams);
  params.n_ubatch = params.n_batch;
  params.n_outputs_max = max_streams + more_rows;
  params.type_k = params.type_v = kv_type_of(kv_type);
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
  // It measures with a context of that size, and the account of its cells is taken from this machine's memory.
  const double account = kAccountBytes * context_size * options.max_streams;
  if (account > static_cast<double>(machine_memory()) / 4) return;
  llama_context_params context = context_params(context_size, options.max_streams, options.more_rows(), options.kv_type);
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

std::string cpu_instructions() {
  auto* features = cpu_function<std::remove_pointer_t<ggml_backend_get_features_t>>("ggml_backend_get_features");
  if (!features) return {};
  const ggml_backend_reg_t cpu = ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
  std::string names;
  for (const ggml_backend_feature* one = features(cpu); one->name; one++)
    names += std::string(one->name) + "=" + one->value + " ";
  return names;
}

RowGroups cpu_row_groups() {
  if (cpu_instructions().find("AMX_INT8=") != std::string::npos) return {16, 8};  // a tile, and halves of the next
  return {};
}

size_t machine_memory() {
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  return cpu ? memory_of(cpu) : 0;
}

size_t gpu_memory() {
  size_t bytes = 0;
  for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (is_gpu(device)) bytes += memory_of(device);
  }
  return bytes;
}

std::string system_info() {
  init_backends();
  return llama_print_system_info();
}

}  // namespace zse
