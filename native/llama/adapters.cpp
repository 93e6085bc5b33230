#include "adapters.h"

#include <cstring>

#include "base/error.h"
#include "files/gguf/check_adapter.h"
#include "ggml_abort.h"
#include "llama-adapter.h"
#include "llama-model.h"
#include "llama.h"
#include "llama_log.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace zse {

namespace {

/** What llama.cpp does not compare: the experts of a layer, which are a third dimension. */
bool fits(const llama_model& model, const llama_adapter_lora& adapter) {
  for (const auto& [name, weight] : adapter.ab_map) {
    const ggml_tensor* tensor = model.get_tensor(name.c_str());
    if (!tensor || tensor->ne[2] != weight.a->ne[2] || tensor->ne[2] != weight.b->ne[2]) return false;
  }
  return true;
}

/** The hash of an adapter's file. Who reads what is wrong with it would look for it in the model's file otherwise. */
uint64_t check_file(const std::string& name, const std::string& path) {
  try {
    return gguf::check_adapter(path);
  } catch (const EngineError& error) {
    throw EngineError(error.code(), "the adapter \"" + name + "\" (adapters): " + error.what());
  }
}

}  // namespace

void Adapters::load(llama_model* model, const std::vector<AdapterFile>& files) {
  for (const auto& [name, path, scale] : files) {
    const uint64_t hash = check_file(name, path);
    clear_logged_errors();
    const AbortGuard guard(AbortBlame::kEngine);
    llama_adapter_lora* adapter = llama_adapter_lora_init(model, path.c_str());
    if (!adapter || !fits(*model, *adapter)) {
      const std::string reason = !guard.reason().empty() ? guard.reason() : logged_errors();
      throw EngineError("UNSUPPORTED", "the adapter \"" + path + "\" cannot be used with this model: " +
                                           (reason.empty() ? "its experts are not as many" : reason) +
                                           "; give adapters that were trained for it");
    }
    loaded_.push_back({name, adapter, hash});
  }
}

const Adapters::Loaded& Adapters::of(const std::string& name) const {
  for (const Loaded& one : loaded_) {
    if (one.name == name) return one;
  }
  throw EngineError("BAD_OPTION", "the model was opened without an adapter \"" + name + "\"; name it in adapters");
}

Variant Adapters::variant_of(const std::vector<AdapterScale>& scales) const {
  Variant variant = 0;
  for (const AdapterScale& one : scales) {
    uint32_t bits = 0;
    std::memcpy(&bits, &one.scale, sizeof bits);
    const uint64_t parts[] = {variant, of(one.name).hash, bits};
    variant = XXH3_64bits(parts, sizeof parts) | 1;  // not 0
  }
  return variant;
}

}  // namespace zse
