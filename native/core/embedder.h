// Owns the border between scheduling and llama.cpp for texts whose vectors are wanted, as decoder.h does for streams. The real one is
// llama_embedder; the tests have a fake. Every call is made on the decode thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "decoder.h"
#include "ids.h"

namespace zse {

/** What a text's vector is to be. */
struct VectorShape {
  int dimensions = 0;     // the first so many of them; 0: all
  bool normalize = true;  // to a length of 1, after it was cut
};

/** A place is where a text lies while it is computed: BatchToken.slot, from 0 to max_texts() - 1. */
class Embedder {
 public:
  virtual ~Embedder() = default;

  virtual int max_texts() const = 0;         // under way at a time
  virtual int max_tokens() const = 0;        // of all texts under way, with those that are still to be computed
  virtual int max_batch_tokens() const = 0;  // in one compute() at most
  virtual int width() const = 0;             // numbers of a vector before it is cut; of a score, those of its classes
  virtual bool cuts_texts() const = 0;       // a text may be computed in pieces; otherwise it is all in one batch
  virtual size_t memory_bytes() const = 0;   // taken for it so far

  /**
   * Computes the next tokens of texts; `output` counts for nothing. After kAborted each text is as it was before. Throws EngineError where there
   * is no memory for it.
   */
  virtual DecodeStatus compute(const Batch& batch, const AbortCheck& abort) = 0;

  /** Why the last compute() failed, for people. */
  virtual std::string failure() const = 0;

  /** What all of a text's tokens came to, and its place is free. Nothing where that is not made of numbers. */
  virtual std::optional<std::vector<float>> take(SlotId place, const VectorShape& shape) = 0;

  /** Frees a place whose text is not wanted any more. */
  virtual void drop(SlotId place) = 0;
};

}  // namespace zse
