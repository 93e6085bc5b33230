// Owns converting model files: GGUF to .zse (generation 2, row-major) and .zse of either generation to GGUF. Streaming: a few rows are in
// memory at once, and the output is there whole or not at all. Any thread; it is busy until the conversion is over.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "files/gguf_to_zse/quantize.h"
#include "files/gguf_to_zse/zse_writer.h"

namespace zse {

struct ConvertOptions {
  std::optional<Quant> quant;  // of a .zse file's linear weights; INT8 when nothing is said
  bool overwrite = false;
};

struct ConvertReport {
  std::string from, to;  // "gguf", "zse1", "zse2"
  uint64_t bytes_read = 0, bytes_written = 0;
  std::vector<std::string> notes;  // what is lost or changed on the way; sentences for people
};

/**
 * Which way it goes is told by what is in `input`: a GGUF file becomes .zse, a .zse file GGUF.
 * @throws EngineError MODEL_NOT_FOUND, BAD_MODEL, UNSUPPORTED; BAD_OPTION where there is a file already; ENGINE_FAILED where the
 * output cannot be written; CLOSED when `progress` ended it. Nothing is left behind then.
 */
ConvertReport convert_file(const std::string& input, const std::string& output, const ConvertOptions& options,
                           const ConvertProgress& progress);

}  // namespace zse
