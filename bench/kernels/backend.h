// Owns what the programs of this folder share of ggml's CPU backend: the buffers that it has for weights.
#pragma once

#include <vector>

#include "ggml-backend.h"

/** Ours and ggml's own, and plain rows last. */
inline std::vector<ggml_backend_buffer_type_t> buffers() {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts"));
  std::vector<ggml_backend_buffer_type_t> all;
  for (ggml_backend_buffer_type_t* type = list(device); *type; type++) all.push_back(*type);
  all.push_back(ggml_backend_cpu_buffer_type());
  return all;
}
