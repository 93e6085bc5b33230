// Owns what `zse inspect` knows of a model file, without loading it: what it is, how its weights are coded, what loading will do with
// them. Pure but for reading the file; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/recommended_sampling.h"

namespace zse {

struct InspectedSection {
  std::string name;
  uint64_t offset = 0, size = 0;
  std::optional<uint32_t> crc32;  // stored, and found right; none where the file has none
};

/** Tensors of one kind that are coded alike and will be loaded alike. */
struct InspectedWeights {
  std::string kind;                     // "embedding", "output", "attention", "feed-forward", "norm", "bias", "other"
  std::string coding;                   // "int4", "int8", "float16", …; of a GGUF file ggml's name of the type
  int64_t group_size = 0;               // values to a scale; 0: none
  std::string layout, layout_evidence;  // of INT4 in a .zse file: "tiled" or "row-major", and what told it; else ""
  std::string loads_as;                 // ggml's type in memory; "" where the file cannot be opened
  bool lossless = true;                 // whether that keeps every value
  int tensors = 0;
  uint64_t parameters = 0, bytes = 0;
};

struct Inspection {
  std::string format;  // "gguf", "zse"
  int version = 0;     // GGUF's, or the generation of .zse
  std::string name, architecture, source_model;
  uint64_t size = 0, parameters = 0;
  uint64_t layers = 0, width = 0, heads = 0, kv_heads = 0, head_size = 0, feed_forward = 0, vocabulary = 0, context = 0;
  bool tied = false;  // no output matrix of its own
  std::vector<InspectedSection> sections;
  std::vector<InspectedWeights> weights;
  std::string tokenizer, pre_tokenizer;  // GGUF's names, such as "gpt2" and "qwen2"
  uint64_t tokens = 0, merges = 0;
  std::string bos, eos;  // texts of the tokens; "" for none
  bool adds_bos = false, nfc = false;
  std::string template_source;  // "file", or "fallback": chosen by the control tokens when the model opens
  std::string template_name;    // "own", or the fallback's
  uint64_t template_bytes = 0;
  RecommendedSampling sampling;
  std::string refusal;  // why it cannot be opened, or ""
  std::vector<std::string> notes;
};

/**
 * Of a model file that is cut short or damaged: as much as could be read, with the refusal; the rest stays empty.
 * Throws EngineError MODEL_NOT_FOUND, BAD_MODEL or UNSUPPORTED for what is no model file at all.
 */
Inspection inspect_file(const std::string& path);

}  // namespace zse
