// Owns what there is to compute on, through ggml's backend registry: listing it, choosing for a model, and how much of a model
// fits. Any thread.
#pragma once

#include <string>
#include <vector>

#include "core/info.h"
#include "core/options.h"
#include "core/row_groups.h"
#include "llama.h"

namespace zse {

/** Tokens of context per stream when the caller does not say and the model was trained for more. */
constexpr int kDefaultContextSize = 4096;

/**
 * Starts ggml's backends, once for the process. Where they are libraries, those beside the addon and no others.
 * Throws EngineError ENGINE_FAILED where they are not there.
 */
void init_backends();

/**
 * One of the CPU backend's functions; null where it has none of that name. They are asked for by name, since the backend may be a library of its own,
 * chosen when the program starts.
 */
template <class Function>
Function* cpu_function(const char* name) {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (!device) return nullptr;
  return reinterpret_cast<Function*>(ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name));
}

/** Every device of ggml's backend registry. */
std::vector<DeviceInfo> list_devices();

/** The instructions that the CPU's kernels use, as ggml names them: those of the level that was chosen, or of the build. */
std::string cpu_instructions();

/** In what numbers the CPU's matrix kernels take rows of activations: up to the next whole group more rows cost little. */
RowGroups cpu_row_groups();

/** Bytes of RAM that the machine has; 0 where it does not say. */
size_t machine_memory();

/** Bytes of memory that all GPUs have; one that is part of the processor counts the machine's. */
size_t gpu_memory();

/** Whether an open model's layers are computed on the CPU. */
bool computes_on_cpu(const ModelInfo& info);

/** llama.cpp's line about instruction sets and backends. */
std::string system_info();

/**
 * The context that `max_streams` of `context_size` tokens need, keys and values of `kv_type`, with `more_rows` of logits beside theirs; what is fitted to
 * a GPU's memory is then what is made.
 */
llama_context_params context_params(int context_size, int max_streams, int more_rows, const std::string& kv_type);

/** What ggml calls a kvType of EngineOptions. */
ggml_type kv_type_of(const std::string& kv_type);

/** What llama.cpp's account of a context takes for each token, beside keys and values. */
constexpr double kAccountBytes = 64;

struct DeviceChoice {
  std::vector<ggml_backend_dev_t> devices;  // null-terminated, as llama.cpp takes it; the CPU is always there beside them
  int gpu_layers;                           // 0 when there is no GPU to hold them; -1: as many as fit
  std::string name;                         // of the device that holds the layers
};

/** Throws EngineError UNSUPPORTED when the kind of device asked for is not there, naming what is. */
DeviceChoice choose_devices(const EngineOptions& options);

/**
 * gpuLayers "auto": as many layers as fit beside the KV cache, 1 GiB left free on each device; all of them where the context is too large to be measured,
 * and will be refused. llama.cpp keeps pointers into this object until the load is over. Tried with a Vulkan driver that computes on the CPU alone.
 */
class GpuFit {
 public:
  GpuFit();
  void apply(const std::string& path, const EngineOptions& options, llama_model_params& params);

 private:
  std::vector<float> tensor_split_;
  std::vector<llama_model_tensor_buft_override> overrides_;
};

}  // namespace zse
