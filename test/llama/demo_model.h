// The demo model for tests of what needs one: small, on one thread of the CPU.
#pragma once

#include <memory>

#include "core/options.h"
#include "llama/devices.h"
#include "llama/model.h"

inline std::shared_ptr<const zse::Model> demo() {
  zse::init_backends();
  zse::EngineOptions options;
  options.context_size = 128;
  options.threads = 1;
  options.gpu_layers = 0;
  options.device = "cpu";
  return zse::Model::load(ZSE_DEMO_MODEL, options, [](float) { return true; });
}
