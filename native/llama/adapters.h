// Owns the LoRA adapters that a model was opened with: their files, and how a choice of them is named in caches. Made on the decode thread with its
// model, which frees them; const afterwards, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/prompt.h"
#include "core/request.h"

struct llama_adapter_lora;
struct llama_model;

namespace zse {

class Adapters {
 public:
  /**
   * Loads them, before any context of the model is made: its graphs have room for them then. Throws EngineError MODEL_NOT_FOUND, BAD_MODEL, or
   * UNSUPPORTED where one is for another model.
   */
  void load(llama_model* model, const std::vector<AdapterFile>& files);

  bool empty() const { return loaded_.empty(); }
  /** Throws EngineError BAD_OPTION where there is none of that name. */
  llama_adapter_lora* find(const std::string& name) const { return of(name).adapter; }

  /** Of the model with these: the same for the same files and strengths, also in another process; 0 for none. Throws as find(). */
  Variant variant_of(const std::vector<AdapterScale>& scales) const;

 private:
  struct Loaded {
    std::string name;
    llama_adapter_lora* adapter;
    uint64_t hash;  // of its file
  };
  const Loaded& of(const std::string& name) const;

  std::vector<Loaded> loaded_;
};

}  // namespace zse
