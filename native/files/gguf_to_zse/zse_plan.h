// Owns the .zse file of generation 2 that a GGUF file is to become, before there are bytes: CONFIG, TOKENIZER, and for each tensor its
// name, its coding and which GGUF tensor it comes from. The counterpart of gguf_plan.h. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "files/gguf/header.h"
#include "quantize.h"

namespace zse {

struct ZseEntry {
  std::string name;             // canonical: the Hugging Face name without "model."
  std::vector<uint64_t> shape;  // slowest dimension first
  Quant quant = Quant::kFp16;
  int64_t group_size = 128;
  const gguf::Tensor* source = nullptr;
  bool keeps_blocks = false;  // Q8_0 whose blocks are INT8 groups of 32: copied, not quantized again
  uint64_t head_rows = 0;     // not 0: rows of q/k lie as llama.cpp rotates them, within heads of so many rows
  float subtract = 0;         // 1 for gemma's norms
};

struct ZsePlan {
  std::string config, tokenizer;   // the sections' bytes; no tokenizer is never written
  std::vector<ZseEntry> entries;   // in the order of the file
  std::vector<std::string> notes;  // what is lost or changed on the way; sentences for people
};

/** Throws gguf::FileError, or EngineError UNSUPPORTED naming what a .zse file cannot hold. The plan points into `source`. */
ZsePlan plan_zse(const gguf::Header& source, Quant quant);

}  // namespace zse
