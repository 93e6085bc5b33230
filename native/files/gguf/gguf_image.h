// Owns the GGUF file that a .zse file is equivalent to, as bytes that exist only where they are being read: tensors are transcoded on
// the way, on all cores. llama.cpp loads from it as if it were on disk; `zse convert` writes it there. Any thread, one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "files/zse_to_gguf/gguf_plan.h"

namespace zse {

class GgufImage {
 public:
  /** `threads`: 0 for as many as there are cores. Throws EngineError BAD_MODEL or UNSUPPORTED, as plan_gguf does. */
  explicit GgufImage(std::shared_ptr<const ZseFile> file, const GgufPlanOptions& options = {}, int threads = 0);

  uint64_t size() const { return size_; }
  /** Bytes before the first tensor: metadata, tensor table, padding. */
  uint64_t header_size() const { return header_.size(); }
  const GgufPlan& plan() const { return plan_; }

  /**
   * Bytes [offset, offset + count), which must lie inside. What has been read of the .zse is forgotten: read from front to back. Throws
   * EngineError BAD_MODEL where weights are not finite.
   */
  void read(uint64_t offset, uint64_t count, uint8_t* out) const;

 private:
  struct Piece {
    const GgufTensor* tensor;
    uint64_t offset, size, row_bytes;  // in the image
  };
  void make_header();
  void read_piece(const Piece& piece, uint64_t offset, uint64_t count, uint8_t* out) const;
  void read_rows(const Piece& piece, int64_t first, int64_t end, uint8_t* out) const;
  void forget_rows(const Piece& piece, int64_t first, int64_t end) const;

  std::shared_ptr<const ZseFile> file_;
  GgufPlan plan_;
  int threads_;
  std::vector<uint8_t> header_;  // metadata, tensor table, padding
  std::vector<Piece> pieces_;    // in the order of their offsets
  uint64_t size_ = 0;
};

}  // namespace zse
