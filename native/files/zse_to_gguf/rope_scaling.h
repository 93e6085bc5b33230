// Owns what a model's rope_scaling becomes in GGUF: metadata, and tensors of divisors. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "files/zse/config.h"
#include "gguf_plan.h"

namespace zse {

/**
 * Adds it to `plan` under general.architecture `gguf`. Throws UNSUPPORTED for a kind that llama.cpp has not for this architecture, BAD_MODEL
 * naming `offset`, that of the configuration in the file, where numbers are missing or none that can be.
 */
void add_rope_scaling(const ModelConfig& config, const std::string& gguf, uint64_t offset, GgufPlan& plan);

/** How many elements of a head are rotated: all of them but in some phi3 models. */
int64_t rotated_elements(const ModelConfig& config, uint64_t offset);

}  // namespace zse
