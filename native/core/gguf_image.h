// Owns the GGUF file that a .zse file is equivalent to, as bytes that exist only where they are being read: tensors are transcoded on
// the way, on all cores. llama.cpp loads from it as if it were on disk; `zse convert` writes it there. Any thread, one at a time.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "zse/gguf_plan.h"

namespace zse {

class GgufImage {
 public:
  /** `threads`: 0 for as many as there are cores. Throws EngineError BAD_MODEL or UNSUPPORTED, as plan_gguf does. */
  explicit GgufImage(std::shared_ptr<const ZseFile> file, const GgufPlanOptions& options = {}, int threads = 0);

  uint64_t size() const { return size_; }
  const GgufPlan& plan() const { return plan_; }

  /** Bytes [offset, offset + count), which must lie inside. Throws EngineError BAD_MODEL where the weights are not finite. */
  void read(uint64_t offset, uint64_t count, uint8_t* out) const;

 private:
  std::shared_ptr<const ZseFile> file_;
  GgufPlan plan_;
  int threads_;
  std::vector<uint8_t> header_;           // metadata, tensor table, padding
  std::vector<uint64_t> tensor_offsets_;  // in the image, of plan_.tensors
  uint64_t size_ = 0;
};

}  // namespace zse
