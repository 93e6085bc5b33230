// Owns an open .zse file of either generation: mapped, parsed, every range checked. Immutable once open; any thread.
//
// What is in this folder, none of it knowing of Node or of llama.cpp (the field's own name is .zse; the format is described in
// docs/ZSE-FORMAT.md):
//   bytes.h refuse.h file_map.h      views of bytes, errors with the place in the file, mmap
//   value_reader.h container.h       generation 2: tagged values; header, section table, checksums
//   generation1.h generation2.h      each parses its own header and index into the shared types below
//   config.h tensor.h tokenizer.h    plain data: what the model is, how each tensor lies in the file, the tokenizer
//   layout.h                         whether an INT4 tensor is tiled or row-major, told by its codes
//   transcode.h                      a tensor's rows as float32, or as ggml's own blocks
//   gguf_plan.h                      the GGUF file that a .zse file is equivalent to: metadata, names, types, order of rows
//   zse_file.h                       opens a file and keeps all that
// native/core/gguf_image.h (with ggml's gguf.h) is that GGUF file as bytes that can be read at any offset and are transcoded
// while they are read: llama.cpp loads from it, `zse convert` writes it to disk.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config.h"
#include "file_map.h"
#include "tensor.h"
#include "tokenizer.h"

namespace zse {

/** What the first bytes of a file say, whatever its name. */
enum class FileKind { kGguf, kZse1, kZse2, kZseLora, kUnknown };
FileKind kind_of(Bytes head);

/** A part of the file, for people: generation 2's sections, generation 1's header, tokenizer and tensor data. */
struct Section {
  std::string name;
  Range range;
  std::optional<uint32_t> crc32;  // stored; absent where the file has none or zero for "not computed". Verified at opening.
};

struct ZseOpenOptions {
  std::optional<Layout> int4_layout;              // read all 2-D INT4 tensors of generation 2 so, whatever their codes say
  uint64_t max_loaded_bytes = uint64_t{1} << 40;  // refuse a file whose tensors would take more when loaded
};

class ZseFile {
 public:
  /**
   * Opens and checks everything but the weights themselves (of INT4 tensors that could be of either layout, their codes too).
   * Throws EngineError MODEL_NOT_FOUND, BAD_MODEL (with the place in the file) or UNSUPPORTED; messages begin with the path.
   */
  static std::shared_ptr<const ZseFile> open(const std::string& path, const ZseOpenOptions& options = {});
  /** The same for bytes in memory, which must outlive the file. */
  static std::shared_ptr<const ZseFile> parse(Bytes bytes, const ZseOpenOptions& options = {});

  int generation() const { return generation_; }  // 1 or 2
  Bytes bytes() const { return bytes_; }
  const FileMap* map() const { return map_.get(); }  // null after parse()
  const std::vector<Section>& sections() const { return sections_; }
  const ModelConfig& config() const { return config_; }
  const std::vector<Tensor>& tensors() const {
    return tensors_;
  }  // in the index's order; generation 1's scales are folded in
  const std::optional<TokenizerData>& tokenizer() const { return tokenizer_; }
  const std::string& source_model() const { return source_model_; }  // generation 1's, or ""

  /** Null when there is none. */
  const Tensor* find(const std::string& name) const;

 private:
  friend struct Generation1;
  friend struct Generation2;
  ZseFile() = default;

  std::shared_ptr<const FileMap> map_;
  Bytes bytes_;
  int generation_ = 0;
  std::vector<Section> sections_;
  ModelConfig config_;
  std::vector<Tensor> tensors_;
  std::optional<TokenizerData> tokenizer_;
  std::string source_model_;
};

}  // namespace zse
