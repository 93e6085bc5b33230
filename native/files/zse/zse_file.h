// Owns an open .zse file of either generation: mapped, parsed, every range checked. Immutable once open; any thread.
//
// What is in this folder, none of it knowing of Node or of llama.cpp (the field's own name is .zse; the format is described in
// docs/ZSE-FORMAT.md):
//   bytes.h refuse.h file_map.h map_guard.h   views of bytes, errors with the place in the file, mmap, files that shrink under it
//   config.h tensor.h tokenizer.h contents.h   plain data: what the model is, how each tensor lies in the file, the tokenizer
//   generation1.h generation2.h      each parses its own header and index into those
//   value_reader.h crc32.h json.h    what the two need for that: generation 2's tagged values and checksums, generation 1's JSON
//   layout.h                         whether an INT4 tensor is tiled or row-major, told by its codes
//   transcode.h half.h               a tensor's rows as float32, or as ggml's own blocks
//   gguf_plan.h gguf_tokenizer.h rope_scaling.h   the GGUF file that a .zse file is equivalent to: metadata, names, types, order of rows
//   zse_file.h                       opens a file and keeps all that
// native/core/gguf_image.h (with ggml's gguf.h) is that GGUF file as bytes that can be read at any offset and are transcoded
// while they are read: llama.cpp loads from it, `zse convert` writes it to disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file_map.h"
#include "contents.h"

namespace zse {

/** What the first bytes of a file say, whatever its name. */
enum class FileKind { kGguf, kZse1, kZse2, kZseLora, kUnknown };
FileKind kind_of(Bytes head);

class ZseFile {
 public:
  /**
   * Opens and checks everything but the weights themselves (of INT4 tensors that could be of either layout, their codes too).
   * Throws EngineError MODEL_NOT_FOUND, BAD_MODEL (with the place in the file) or UNSUPPORTED; messages begin with the path.
   */
  static std::shared_ptr<const ZseFile> open(const std::string& path, const ZseOpenOptions& options = {});
  /** The same for bytes in memory, which must outlive the file. */
  static std::shared_ptr<const ZseFile> parse(Bytes bytes, const ZseOpenOptions& options = {});

  int generation() const { return contents_.generation; }  // 1 or 2
  Bytes bytes() const { return bytes_; }
  const FileMap* map() const { return map_.get(); }  // null after parse()
  const std::vector<Section>& sections() const { return contents_.sections; }
  const ModelConfig& config() const { return contents_.config; }
  const std::vector<Tensor>& tensors() const {
    return contents_.tensors;
  }  // in the index's order; generation 1's scales are folded in
  const std::optional<TokenizerData>& tokenizer() const { return contents_.tokenizer; }
  const std::string& source_model() const { return contents_.source_model; }  // generation 1's, or ""

  /** Null when there is none. */
  const Tensor* find(const std::string& name) const;

 private:
  ZseFile() = default;
  static std::shared_ptr<const ZseFile> read(std::shared_ptr<const FileMap> map, Bytes bytes, const ZseOpenOptions& options);

  std::shared_ptr<const FileMap> map_;
  Bytes bytes_;
  ZseContents contents_;
  std::unordered_map<std::string, size_t> index_;  // of contents_.tensors, by name
};

}  // namespace zse
