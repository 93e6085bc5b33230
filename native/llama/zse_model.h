// Owns handing a .zse file to llama.cpp: as a stream of the GGUF file that it is equivalent to, so that everything after the reading
// (repacking for the processor, GPUs, tied weights, progress) is what it is for GGUF. Decode thread, while loading.
#pragma once

#include <string>

#include "files/zse_to_gguf/gguf_plan.h"
#include "llama.h"

namespace zse {

/**
 * Null where llama.cpp refused it or `params`' progress callback ended it, as llama_model_load_from_file. Throws EngineError BAD_MODEL,
 * UNSUPPORTED or MODEL_NOT_FOUND for what is wrong with the file, and ENGINE_FAILED where a stream, on Windows a temporary file, cannot be made.
 */
llama_model* load_zse_model(const std::string& path, llama_model_params params, const GgufPlanOptions& options = {});

}  // namespace zse
